//! Room `conversation`: what a contact is, and how senders are recognised as contacts.

use std::collections::HashMap;

use misy_channel::IdentityClaim;
use misy_channel::event::Sender;
use misy_core::error::Fault;
use misy_core::{Ambient, Code, ContactId, IdentityId, Personal, Public, Timestamp};

use crate::Below;

/// A customer of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The name the person shows, or one that an agent gave.
    pub display_name: Option<Personal<String>>,
    /// The language the person writes, BCP 47.
    pub language: Option<String>,
    /// Every way to recognise the person, oldest first.
    pub identities: Vec<Identity>,
    /// Goes up with every change.
    pub version: i64,
    /// When the person was first seen.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// One way to recognise a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// What kind of value it is: `phone`, `email`, `visitor` or a provider's own user id.
    pub namespace: String,
    /// The value in normal form.
    pub value: Personal<String>,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// What may be changed of a contact; `None` leaves it, `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The name.
    pub display_name: Option<Option<String>>,
    /// The language, BCP 47.
    pub language: Option<Option<String>>,
}

const NAME_CHARS_MAX: usize = 200;

impl Change {
    /// Every fault of what was given.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: String| {
            faults.push(Fault { pointer: pointer.to_owned(), detail });
        };
        if let Some(Some(name)) = &self.display_name
            && (name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX)
        {
            fault("/display_name", format!("expected 1 to {NAME_CHARS_MAX} characters"));
        }
        if let Some(Some(language)) = &self.language
            && !is_language(language)
        {
            fault("/language", LANGUAGE_FORM.to_owned());
        }
        faults
    }

    /// The contact with the change in it.
    #[must_use]
    pub fn apply(self, mut contact: Contact) -> Contact {
        if let Some(name) = self.display_name {
            contact.display_name = name.map(|name| Personal(name.trim().to_owned()));
        }
        contact.language = self.language.unwrap_or(contact.language);
        contact
    }
}

/// What a language tag must look like, for whoever gave another.
pub const LANGUAGE_FORM: &str = "expected a language tag such as `en` or `pt-BR`";

/// Whether a text is a language tag of BCP 47 in its usual spelling: a lower-case language, then
/// script or region.
pub fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let lower = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=3).contains(&language.len())
        && lower(language)
        && tag.len() <= 20
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// One person behind one or several senders of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person<'a> {
    /// Everything that is said about who it is, strongest first, each once.
    pub(crate) claims: Vec<&'a IdentityClaim>,
    /// The name the person shows.
    pub(crate) display_name: Option<&'a str>,
}

/// Finds the persons behind a batch of senders: senders that share any identity are one person.
/// The second part names the person of each sender.
pub(crate) fn people(senders: &[Sender]) -> (Vec<Person<'_>>, Vec<usize>) {
    let mut leaders: Vec<usize> = (0..senders.len()).collect();
    let mut owners: HashMap<&IdentityClaim, usize> = HashMap::new();
    for (at, sender) in senders.iter().enumerate() {
        for claim in &sender.identities {
            let other = *owners.entry(claim).or_insert(at);
            let (one, two) = (leader(&leaders, at), leader(&leaders, other));
            leaders[one.max(two)] = one.min(two);
        }
    }
    let mut people: Vec<Person<'_>> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut of_sender = Vec::with_capacity(senders.len());
    for (at, sender) in senders.iter().enumerate() {
        let place = *places.entry(leader(&leaders, at)).or_insert_with(|| {
            people.push(Person { claims: Vec::new(), display_name: None });
            people.len() - 1
        });
        let person = &mut people[place];
        for claim in &sender.identities {
            if !person.claims.contains(&claim) {
                person.claims.push(claim);
            }
        }
        let name = sender.display_name.as_ref().map(|name| name.0.trim());
        person.display_name = person.display_name.or(name.filter(|name| !name.is_empty()));
        of_sender.push(place);
    }
    (people, of_sender)
}

fn leader(leaders: &[usize], mut at: usize) -> usize {
    while leaders[at] != at {
        at = leaders[at];
    }
    at
}

/// Who holds an identity already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The contact.
    pub(crate) contact: ContactId,
    /// Whether the contact has a name.
    pub(crate) named: bool,
}

/// What must be written so that every person is a contact.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan<'a> {
    /// The contact of each person.
    pub(crate) contacts: Vec<ContactId>,
    /// Contacts to make.
    pub(crate) new: Vec<ContactId>,
    /// Names for contacts that have none.
    pub(crate) names: Vec<(ContactId, &'a str)>,
    /// Identities to add.
    pub(crate) identities: Vec<(ContactId, &'a IdentityClaim)>,
}

impl Plan<'_> {
    /// Whether everything is there already.
    pub(crate) fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.names.is_empty()
    }
}

/// Decides for each person: the holder of the strongest identity that anybody holds, or a new
/// contact. An identity that another contact holds stays there; joining contacts is for people to
/// decide.
pub(crate) fn plan<'a>(
    people: &[Person<'a>],
    holders: &HashMap<&IdentityClaim, Holder>,
    ambient: &Ambient,
) -> Plan<'a> {
    let mut plan = Plan::default();
    for person in people {
        let known = person.claims.iter().find_map(|claim| holders.get(*claim));
        let contact = known.map_or_else(|| ambient.id(), |holder| holder.contact);
        if known.is_none() {
            plan.new.push(contact);
        }
        if let Some(name) = person.display_name
            && !known.is_some_and(|holder| holder.named)
        {
            plan.names.push((contact, name));
        }
        let missing = person.claims.iter().filter(|claim| !holders.contains_key(**claim));
        plan.identities.extend(missing.map(|claim| (contact, *claim)));
        plan.contacts.push(contact);
    }
    plan
}

/// Why something about a contact cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such contact.
    #[error("no such contact")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the contact was changed meanwhile")]
    Stale,
    /// Fields are wrong.
    #[error("the contact's data is not valid")]
    Invalid(Vec<Fault>),
    /// The right or the database.
    #[error(transparent)]
    Below(Below),
}

impl<E: Into<Below>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Stale => Code::Stale,
            Self::Invalid(_) => Code::Invalid,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        if let Self::Below(error) = self { error.detail() } else { None }
    }

    fn faults(&self) -> Vec<Fault> {
        if let Self::Invalid(faults) = self { faults.clone() } else { Vec::new() }
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Below(error) = self { error.retry_after_s() } else { None }
    }
}

#[cfg(test)]
mod tests;
