//! Room `store`: what can go wrong with a document server, and what of it the outside may know.

use misy_core::Code;
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// A document server did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It refused, or could not be reached.
    #[error("the document server failed")]
    Failed(#[source] Box<Error>),
    /// It did not answer in time; whether the operation happened is not known.
    #[error("the document server did not answer in time")]
    TimedOut,
    /// A document does not have the form that it was written in: a foreign hand.
    #[error("unexpected value in field `{field}` of a document")]
    Corrupt {
        /// Which field.
        field: &'static str,
    },
    /// Some documents of a batch were refused; says of the first why.
    #[error("the document server refused part of a batch: {0}")]
    Refused(String),
}

impl From<Error> for ServerError {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

/// Codes of MongoDB's `error_codes.yml`.
const NAMESPACE_NOT_FOUND: i32 = 26;
const NAMESPACE_EXISTS: i32 = 48;
const DUPLICATE_KEY: i32 = 11_000;
/// `NotWritablePrimary`, the shutdowns, `PrimarySteppedDown`, interruptions by a change of state.
const PASSING: [i32; 7] = [91, 189, 10_107, 11_600, 11_602, 13_435, 13_436];

impl ServerError {
    fn code_number(&self) -> Option<i32> {
        let Self::Failed(error) = self else { return None };
        match &*error.kind {
            ErrorKind::Command(error) => Some(error.code),
            ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
            _ => None,
        }
    }

    pub(super) fn is_namespace_exists(&self) -> bool {
        self.code_number() == Some(NAMESPACE_EXISTS)
    }

    pub(super) fn is_namespace_missing(&self) -> bool {
        self.code_number() == Some(NAMESPACE_NOT_FOUND)
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.code_number() == Some(DUPLICATE_KEY)
    }

    /// Whether a later try may find a better server.
    fn is_passing(&self) -> bool {
        let Self::Failed(error) = self else { return matches!(self, Self::TimedOut) };
        let lost = matches!(
            &*error.kind,
            ErrorKind::Io(_)
                | ErrorKind::ServerSelection { .. }
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::DnsResolve { .. }
        );
        let coded = self.code_number().is_some_and(|code| PASSING.contains(&code));
        lost || coded || error.contains_label("RetryableWriteError")
    }

    /// A label for metrics; `None` for what belongs to the way of working: a collection that is
    /// made or dropped twice, two writers of one new document.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self {
            Self::TimedOut => Some("slow"),
            Self::Corrupt { .. } => Some("corrupt"),
            _ if self.is_namespace_exists() || self.is_namespace_missing() => None,
            _ if self.is_duplicate() => None,
            _ if self.is_passing() => Some("away"),
            _ => Some("refused"),
        }
    }

    /// The code of the catalogue.
    pub(in crate::documents) fn code(&self) -> Code {
        if self.is_passing() { Code::Unavailable } else { Code::Internal }
    }
}
