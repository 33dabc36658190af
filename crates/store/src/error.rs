//! Room `store`: what can go wrong with the database, and what of it the outside may know.

use misy_core::{Code, Public};
use tokio_postgres::error::SqlState;

/// A statement or connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached.
    #[error("no database connection")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// All connections that it may have are in use, and it waited its time or too many wait
    /// already.
    #[error("no connection of the pool `{pool}` became free")]
    Busy {
        /// Which pool.
        pool: &'static str,
    },
    /// The tenant was stopped or is going, and the actor is none of those who may still enter.
    #[error("the tenant is barred")]
    Barred,
    /// The server refused the statement or the connection broke.
    #[error("the database refused a statement")]
    Statement(#[from] tokio_postgres::Error),
    /// An earlier statement of the transaction failed, so nothing of it may be committed.
    #[error("the transaction had failed before it was committed")]
    Aborted,
    /// A row does not have the form its reader expects: a bug or a foreign hand.
    #[error("unexpected value in column `{column}`")]
    Corrupt {
        /// Which column.
        column: &'static str,
    },
}

impl Error {
    /// The unique constraint or index that a statement ran against, if that is why it failed.
    pub fn unique_violation(&self) -> Option<&str> {
        self.violation(&SqlState::UNIQUE_VIOLATION)
    }

    /// The foreign key that a statement ran against, if that is why it failed.
    pub fn foreign_key_violation(&self) -> Option<&str> {
        self.violation(&SqlState::FOREIGN_KEY_VIOLATION)
    }

    fn violation(&self, state: &SqlState) -> Option<&str> {
        let Self::Statement(error) = self else { return None };
        let error = error.as_db_error().filter(|error| error.code() == state)?;
        error.constraint()
    }

    /// An error without a state comes from the client: the connection is gone, or a parameter could
    /// not be written in the type that the statement wants, which no other connection would mend.
    fn lost_connection(error: &tokio_postgres::Error) -> bool {
        let Some(state) = error.code() else { return error.is_closed() || broke(error) };
        let class = state.code().get(..2).unwrap_or_default();
        let idled = *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT;
        idled || matches!(class, "08" | "53" | "57") && *state != SqlState::QUERY_CANCELED
    }
}

fn broke(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() != std::io::ErrorKind::InvalidInput)
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable(_) | Self::Busy { .. } => Code::Unavailable,
            Self::Barred => Code::TenantInactive,
            Self::Statement(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
                Code::Timeout
            }
            Self::Statement(error) if Self::lost_connection(error) => Code::Unavailable,
            Self::Statement(_) | Self::Aborted | Self::Corrupt { .. } => Code::Internal,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        (self.code() == Code::Unavailable).then_some(1)
    }
}
