//! Room `conversation`: contacts and their identities, conversations, messages, channel accounts, the
//! way in (hook, inbox, ingest) and the way out (deliver), knowledge and the responder.
//!
//! Never: a provider's name, an HTTP client, another vertical.

pub mod deps;

pub use deps::{Config, Deps};
