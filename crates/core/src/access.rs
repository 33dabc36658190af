//! Room `core`: what a decision about one thing needs to know of it, and how a refusal is told.
//! Whoever decides is in another room; whoever asks knows only these words.

use crate::error::{Code, Public};
use crate::{Permission, UserId};

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A conversation with its messages.
    Conversation,
    /// A person of the tenant.
    User,
    /// An API key.
    ApiKey,
    /// The tenant as a whole.
    Tenant,
}

/// Something known about a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A text: a status, an id.
    Text(String),
    /// A person of the tenant.
    Person(UserId),
}

/// One thing of a tenant that something is to be done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: String,
    /// What is known about it.
    pub facts: Vec<(&'static str, Fact)>,
}

impl Resource {
    /// A thing of which nothing is known yet.
    pub fn new(kind: Kind, id: impl ToString) -> Self {
        Self { kind, id: id.to_string(), facts: Vec::new() }
    }

    /// With a text known about it.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: impl ToString) -> Self {
        self.facts.push((name, Fact::Text(text.to_string())));
        self
    }

    /// With a person known about it, if there is one.
    #[must_use]
    pub fn person(mut self, name: &'static str, person: Option<UserId>) -> Self {
        self.facts.extend(person.map(|person| (name, Fact::Person(person))));
        self
    }
}

/// The role would grant it, and a policy forbids it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a policy forbids `{permission}`")]
pub struct Forbidden {
    /// What was to be done.
    pub permission: Permission,
    /// Why, in a sentence that names the policies.
    pub reason: String,
}

impl Public for Forbidden {
    fn code(&self) -> Code {
        Code::PermissionDenied
    }
    fn detail(&self) -> Option<String> {
        Some(self.reason.clone())
    }
}
