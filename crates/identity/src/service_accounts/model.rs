//! Room `identity`: what may be done to service accounts.

use misy_core::{Code, Grants, Permission, Public, ServiceAccountId, Timestamp};

use crate::api_keys::model::Scope;

/// A program of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAccount {
    pub(crate) id: ServiceAccountId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) scope: Scope,
    /// Everything that it may do.
    pub(crate) grants: Grants,
    /// None of its keys works.
    pub(crate) disabled: bool,
    /// The actor who made it.
    pub(crate) created_by: String,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// An account to be made.
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) description: String,
    /// The slug of a role.
    pub(crate) role: Option<String>,
    pub(crate) permissions: Option<Vec<Permission>>,
}

/// What is to change; what is absent stays.
#[derive(Default)]
pub(crate) struct AccountChange {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) permissions: Option<Vec<Permission>>,
    pub(crate) disabled: Option<bool>,
}

impl AccountChange {
    /// Whether another scope is asked for.
    pub(crate) fn rescopes(&self) -> bool {
        self.role.is_some() || self.permissions.is_some()
    }
}

/// What fails around service accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such account in this tenant.
    #[error("no such service account")]
    NotFound,
    /// Another one has the name.
    #[error("the name is taken")]
    NameTaken,
    /// It is disabled.
    #[error("the service account is disabled")]
    Disabled,
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::NameTaken | Self::Disabled => Code::Conflict,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::NotFound => return None,
            Self::NameTaken => "There is a service account with this name already.",
            Self::Disabled => "The service account is disabled; enable it before it gets a key.",
        };
        Some(text.to_owned())
    }
}
