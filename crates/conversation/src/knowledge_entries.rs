//! Room `conversation`: knowledge entries, the questions that the responder can answer.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Error, KnowledgeEntry, NewEntry};
pub use service::{Provisioner, TABLES};
