//! Room `conversation`: contacts and their identities, conversations, messages, channel accounts,
//! the way in (hook, inbox, ingest) and the way out (deliver), knowledge and the responder.
//!
//! Never: a provider's name, an HTTP client, another vertical.

pub mod channels;
pub mod contacts;
pub mod conversations;
pub mod deps;
pub mod hooks;
pub mod inbox;
pub mod knowledge_documents;
pub mod knowledge_entries;
pub mod messages;
pub mod responders;
pub mod visitors;

use std::sync::Arc;

use misy_core::{Code, Public};
use misy_jobs::Registry;
use misy_store::Kind;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

pub use deps::{Config, Deps};
pub use knowledge_entries::{Provisioner, TABLES};

/// The kinds of documents that this room keeps, which tools that move documents have to know.
pub const DOCUMENT_KINDS: [Kind; 3] =
    [responders::store::CONTEXTS, inbox::store::PAYLOADS, knowledge_documents::store::TEXTS];

/// Every route of this room.
pub fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    let routers = [
        channels::http::router,
        hooks::http::router,
        contacts::http::router,
        conversations::http::router,
        messages::http::router,
        knowledge_documents::http::router,
        knowledge_entries::http::router,
        responders::http::router,
        visitors::http::router,
    ];
    routers.into_iter().fold(OpenApiRouter::new(), |all, one| all.merge(one(Arc::clone(deps))))
}

/// Every job of this room.
#[must_use]
pub fn jobs(registry: Registry, deps: &Arc<Deps>) -> Registry {
    inbox::jobs::register(registry, deps)
        .register::<knowledge_documents::Index>(Arc::clone(deps))
        .register::<responders::Respond>(Arc::clone(deps))
        .register::<messages::Deliver>(Arc::clone(deps))
        .register::<messages::MarkRead>(Arc::clone(deps))
        .register::<messages::MatchStatuses>(Arc::clone(deps))
}

/// Why a room below refused: the actor lacks a right, or the database did not do it. Every
/// resource's error has it as one of its variants.
#[derive(Debug, thiserror::Error)]
pub enum Below {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// A policy forbids it.
    #[error(transparent)]
    Forbidden(#[from] misy_core::access::Forbidden),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
    /// A limit of the plan.
    #[error(transparent)]
    Quota(#[from] misy_store::QuotaError),
    /// The documents.
    #[error(transparent)]
    Document(#[from] misy_store::documents::DocumentError),
}

impl Public for Below {
    fn code(&self) -> Code {
        match self {
            Self::Denied(error) => error.code(),
            Self::Forbidden(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Quota(error) => error.code(),
            Self::Document(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Denied(error) => error.detail(),
            Self::Forbidden(error) => error.detail(),
            Self::Store(error) => error.detail(),
            Self::Quota(error) => error.detail(),
            Self::Document(error) => error.detail(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Denied(_) | Self::Forbidden(_) => None,
            Self::Store(error) => error.retry_after_s(),
            Self::Quota(error) => error.retry_after_s(),
            Self::Document(error) => error.retry_after_s(),
        }
    }
}

/// A text without the one character that PostgreSQL cannot hold (U+0000), which becomes the sign
/// for a character that cannot be shown. What customers send may hold anything.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The longest id that is kept as it is, in bytes. An index of PostgreSQL holds 2,700 at most.
const ID_MAX_BYTES: usize = 512;

/// An id of a provider in the form in which it is stored and looked up: without U+0000, and one of
/// absurd length by its digest.
pub(crate) fn storable_id(id: &str) -> String {
    if id.len() <= ID_MAX_BYTES {
        return storable(id);
    }
    format!("sha256:{}", misy_core::crypto::to_hex(&misy_core::crypto::sha256(id.as_bytes())))
}

/// A JSON value whose texts can all be stored.
pub(crate) fn storable_json(mut value: Value) -> Value {
    match &mut value {
        Value::String(text) if text.contains('\0') => *text = storable(text),
        Value::Array(items) => {
            for item in items {
                *item = storable_json(item.take());
            }
        }
        Value::Object(members) => {
            if members.keys().any(|name| name.contains('\0')) {
                let all = std::mem::take(members);
                members.extend(all.into_iter().map(|(name, member)| (storable(&name), member)));
            }
            for member in members.values_mut() {
                *member = storable_json(member.take());
            }
        }
        _ => {}
    }
    value
}
