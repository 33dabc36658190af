//! Room `conversation`: conversations, at most one open with each contact.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Conversation, Error, Opened, Status};
