//! Room `conversation`: contacts and their identities, conversations, messages, channel accounts, the
//! way in (hook, inbox, ingest) and the way out (deliver), knowledge and the responder.
//!
//! Never: a provider's name, an HTTP client, another vertical.

pub mod channels;
pub mod contacts;
pub mod conversations;
pub mod deps;
pub mod hooks;
pub mod inbox;
pub mod knowledge_entries;
pub mod messages;
pub mod responders;

use misy_core::{Code, Public};

pub use deps::{Config, Deps};

/// Why a room below refused: the actor lacks a right, or the database did not do it. Every resource's
/// error has it as one of its variants.
#[derive(Debug, thiserror::Error)]
pub enum Below {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Public for Below {
    fn code(&self) -> Code {
        match self {
            Self::Denied(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Denied(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Denied(_) => None,
            Self::Store(error) => error.retry_after_s(),
        }
    }
}
