//! Room `tenancy`: a record of the audit log and by what it is searched.

use misy_core::{AuditId, Code, Public, Timestamp};
use serde_json::Value;

/// Who did what to what, when.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id, ordered by time.
    pub id: AuditId,
    /// Who: an id, `system` or `channel`.
    pub actor: String,
    /// What was done, for example `channel.created`.
    pub action: String,
    /// The kind of thing it was done to.
    pub resource: String,
    /// The id of the thing.
    pub resource_id: String,
    /// More about it; never personal data.
    pub detail: Value,
    /// The request that began it.
    pub request_id: String,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// By which properties records are searched; each is exact.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// What was done.
    pub action: Option<String>,
    /// The kind of thing.
    pub resource: Option<String>,
    /// The thing.
    pub resource_id: Option<String>,
    /// Who.
    pub actor: Option<String>,
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Error {
    fn inner(&self) -> &dyn Public {
        match self {
            Self::Denied(error) => error,
            Self::Store(error) => error,
        }
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        self.inner().code()
    }
    fn detail(&self) -> Option<String> {
        self.inner().detail()
    }
    fn retry_after_s(&self) -> Option<u32> {
        self.inner().retry_after_s()
    }
}
