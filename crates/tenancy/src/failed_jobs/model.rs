//! Room `tenancy`: why something about a failed job cannot be done.

use misy_core::ctx::Denied;
use misy_core::{Code, Public};

/// Why something about a failed job cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None of the tenant's jobs that gave up has this id.
    #[error("no such failed job")]
    NotFound,
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Denied(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        let Self::Denied(error) = self else { return None };
        error.detail()
    }

    fn retry_after_s(&self) -> Option<u32> {
        let Self::Store(error) = self else { return None };
        error.retry_after_s()
    }
}

#[cfg(test)]
mod tests {
    use misy_core::Permission;

    use super::*;

    #[test]
    fn each_error_tells_what_may_be_told() {
        let denied = Error::from(Denied { permission: Permission::DeadLetterReplay });
        assert_eq!(denied.code(), Code::PermissionDenied);
        assert!(denied.detail().is_some_and(|text| text.contains("dead_letter.replay")));
        assert_eq!((Error::NotFound.code(), Error::NotFound.detail()), (Code::NotFound, None));
        let away = Error::from(misy_store::Error::Unavailable("gone".into()));
        assert_eq!((away.code(), away.detail()), (Code::Unavailable, None));
    }
}
