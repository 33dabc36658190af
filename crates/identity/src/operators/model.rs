//! Room `identity`: what may be done to the people of the platform.

use misy_core::error::Fault;
use misy_core::{Code, OperatorId, Personal, Public, Role, Secret, Timestamp};

use crate::accounts::Email;

/// A person of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) id: OperatorId,
    pub(crate) email: Personal<String>,
    pub(crate) name: Personal<String>,
    /// One of [`Role::OF_PLATFORM`].
    pub(crate) role: Role,
    pub(crate) active: bool,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
}

impl Operator {
    /// Whether the platform could be run by this person alone.
    pub(crate) fn runs_the_platform(&self) -> bool {
        self.active && self.role == Role::Operator
    }
}

/// A person to be added.
pub(crate) struct NewOperator {
    pub(crate) email: Personal<String>,
    pub(crate) name: Personal<String>,
    pub(crate) role: Role,
    pub(crate) password: Secret,
}

impl NewOperator {
    /// The address, if it is one and the role is one of the platform.
    pub(crate) fn check(&self) -> Result<Email, Error> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: &str| {
            faults.push(Fault { pointer: pointer.to_owned(), detail: detail.to_owned() });
        };
        let email: Option<Email> = self.email.0.parse().ok();
        if email.is_none() {
            fault("/email", "has to be an e-mail address");
        }
        if !Role::OF_PLATFORM.contains(&self.role) {
            fault("/role", "is not a role of the platform");
        }
        email.filter(|_| faults.is_empty()).ok_or(Error::Invalid(faults))
    }
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct OperatorChange {
    pub(crate) name: Option<Personal<String>>,
    pub(crate) role: Option<Role>,
    pub(crate) active: Option<bool>,
}

/// Decides a change. `others` says whether somebody else could run the platform.
pub(crate) fn decide(
    before: &Operator,
    change: OperatorChange,
    others: bool,
) -> Result<Operator, Error> {
    let mut after = before.clone();
    after.name = change.name.unwrap_or(after.name);
    after.role = change.role.unwrap_or(after.role);
    after.active = change.active.unwrap_or(after.active);
    if !Role::OF_PLATFORM.contains(&after.role) {
        let detail = "is not a role of the platform".to_owned();
        return Err(Error::Invalid(vec![Fault { pointer: "/role".to_owned(), detail }]));
    }
    if before.runs_the_platform() && !after.runs_the_platform() && !others {
        return Err(Error::LastOperator);
    }
    Ok(after)
}

/// What fails around people of the platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such person.
    #[error("no such operator")]
    NotFound,
    /// Somebody has the address.
    #[error("the address is taken")]
    EmailTaken,
    /// Nobody would run the platform.
    #[error("the last operator cannot go")]
    LastOperator,
    /// Fields are wrong.
    #[error("the operator's data is not valid")]
    Invalid(Vec<Fault>),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::EmailTaken | Self::LastOperator => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::NotFound | Self::Invalid(_) => return None,
            Self::EmailTaken => "Somebody with this e-mail address is there already.",
            Self::LastOperator => "The platform needs an active operator: make another one first.",
        };
        Some(text.to_owned())
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;

    fn person(role: Role, active: bool) -> Operator {
        let id = OperatorId::from_uuid(uuid::Uuid::nil());
        let (email, name) = (Personal("a@b.example".to_owned()), Personal("A".to_owned()));
        let created_at = Timestamp::UNIX_EPOCH;
        Operator { id, email, name, role, active, version: 1, created_at }
    }

    #[test]
    fn the_last_operator_neither_goes_nor_becomes_something_else() {
        let last = person(Role::Operator, true);
        let out = OperatorChange { active: Some(false), ..OperatorChange::default() };
        let down = OperatorChange { role: Some(Role::Support), ..OperatorChange::default() };
        for change in [out, down] {
            assert_eq!(decide(&last, change.clone(), false), Err(Error::LastOperator));
            assert!(decide(&last, change.clone(), true).is_ok());
            assert!(decide(&person(Role::Auditor, true), change, false).is_ok());
        }
        let named = OperatorChange { name: Some(Personal("B".to_owned())), ..<_>::default() };
        assert!(decide(&last, named, false).is_ok());
    }

    #[test]
    fn a_role_of_tenants_is_none_of_the_platform() {
        let owner = OperatorChange { role: Some(Role::Owner), ..OperatorChange::default() };
        let refused = decide(&person(Role::Support, true), owner, true);
        assert!(matches!(refused, Err(Error::Invalid(_))));
        let new = NewOperator {
            email: Personal("nobody".to_owned()),
            name: Personal("N".to_owned()),
            role: Role::Admin,
            password: Secret::new("x"),
        };
        let Err(Error::Invalid(faults)) = new.check() else { panic!("it is refused") };
        assert_eq!(faults.len(), 2);
    }
}
