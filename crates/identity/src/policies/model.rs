//! Room `identity`: a policy as it is kept, and what of a request it may see.

use misy_core::access::{Fact, Kind, Resource};
use misy_core::error::Fault;
use misy_core::{Actor, Code, Permission, PolicyId, Public, Timestamp};
use misy_policy::compiled::POLICIES_MAX;
use misy_policy::things::uid;
use misy_policy::vocabulary::{API_KEY, CONVERSATION, ROLE, TENANT, USER};
use misy_policy::{Flaw, Stored, Thing, Value};

/// A policy of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) id: PolicyId,
    pub(crate) name: String,
    pub(crate) description: String,
    /// Cedar.
    pub(crate) text: String,
    pub(crate) forbids: bool,
    /// The template that it was made from.
    pub(crate) template: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) created_by: String,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Policy {
    /// As it is compiled.
    pub(crate) fn stored(&self) -> Stored {
        Stored { id: self.id.to_string(), name: self.name.clone(), text: self.text.clone() }
    }
}

/// What fails around policies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such policy in this tenant.
    #[error("no such policy")]
    NotFound,
    /// Another one has the name.
    #[error("the name is taken")]
    NameTaken,
    /// The tenant has as many as it may.
    #[error("too many policies")]
    TooMany,
    /// The text or another field is wrong.
    #[error("the policy is not valid")]
    Invalid(Vec<Fault>),
    /// What is kept cannot be used; nothing is allowed by the rest.
    #[error("the tenant's policies cannot be compiled")]
    Broken(#[from] misy_policy::CompileError),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::NameTaken | Self::TooMany => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
            Self::Broken(_) => Code::Internal,
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::NameTaken => Some("There is a policy with this name already.".to_owned()),
            Self::TooMany => Some(format!("A tenant may have {POLICIES_MAX} policies.")),
            Self::NotFound | Self::Invalid(_) | Self::Broken(_) => None,
        }
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
}

/// One fault.
pub(crate) fn invalid(pointer: &str, detail: impl Into<String>) -> Error {
    Error::Invalid(vec![Fault { pointer: pointer.to_owned(), detail: detail.into() }])
}

/// The flaws of a text as faults of the member that holds it.
pub(crate) fn faults(pointer: &str, flaws: Vec<Flaw>) -> Error {
    let fault = |flaw: Flaw| {
        let help = flaw.help.map(|help| format!("; {help}")).unwrap_or_default();
        let detail = format!("line {}, column {}: {}{help}", flaw.line, flaw.column, flaw.message);
        Fault { pointer: pointer.to_owned(), detail }
    };
    Error::Invalid(flaws.into_iter().map(fault).collect())
}

/// Who acts, as policies see them: with their role and those that it inherits from.
pub(crate) fn principal(actor: Actor, tenant: &str, roles: &[String]) -> Option<Thing> {
    // Whoever acts as a person may do no more than they.
    let actor = match actor {
        Actor::Impersonator { user, .. } => Actor::User(user),
        actor => actor,
    };
    let kind = match actor {
        Actor::User(_) => &USER,
        Actor::ApiKey(_) => &API_KEY,
        Actor::Impersonator { .. } | Actor::Operator(_) | Actor::Channel | Actor::System => {
            return None;
        }
    };
    let mut one = Thing::new(uid(kind, &actor.to_string()));
    one = one.with("tenant", Value::Text(tenant.to_owned()));
    if let (Actor::User(_), Some(role)) = (actor, roles.first()) {
        one = one.with("role", Value::Text(role.clone()));
    }
    Some(roles.iter().fold(one, |one, role| one.within(uid(&ROLE, role))))
}

/// The thing that something is done with, as policies see it.
pub(crate) fn thing(resource: &Resource, tenant: &str) -> Thing {
    let kind = match resource.kind {
        Kind::Conversation => &CONVERSATION,
        Kind::User => &USER,
        Kind::ApiKey => &API_KEY,
        Kind::Tenant => &TENANT,
    };
    let one = Thing::new(uid(kind, &resource.id)).with("tenant", Value::Text(tenant.to_owned()));
    resource.facts.iter().fold(one, |one, (name, fact)| match fact {
        Fact::Text(text) => one.with(name, Value::Text(text.clone())),
        Fact::Person(user) => one.with(name, Value::Entity(uid(&USER, &user.to_string()))),
    })
}

/// Permissions that whoever may manage owners keeps whatever a policy says: else a policy could
/// lock out those who would have to take it back.
pub(crate) const NEVER_LOST: [Permission; 2] = [Permission::PolicyRead, Permission::PolicyManage];

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::UserId;
    use misy_core::id::TypedId;

    #[test]
    fn a_person_belongs_to_all_their_roles_and_operators_are_nobody_to_policies() {
        let user = UserId::from_uuid(uuid::Uuid::from_u128(1));
        let roles = ["lead".to_owned(), "agent".to_owned()];
        let one = principal(Actor::User(user), "ten_x", &roles).expect("a person");
        assert_eq!(one.groups.len(), 2);
        assert!(one.facts.contains(&("role".to_owned(), Value::Text("lead".to_owned()))));
        assert_eq!(principal(Actor::System, "ten_x", &roles), None);
    }

    #[test]
    fn flaws_are_told_with_their_place() {
        let flaw = Flaw {
            line: 3,
            column: 7,
            length: 1,
            message: "no such word".to_owned(),
            help: Some("try another".to_owned()),
        };
        let Error::Invalid(faults) = faults("/text", vec![flaw]) else { panic!("it is invalid") };
        assert_eq!(faults[0].detail, "line 3, column 7: no such word; try another");
    }
}
