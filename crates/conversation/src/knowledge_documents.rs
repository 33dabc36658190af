//! Room `conversation`: knowledge documents, texts of a tenant whose passages answer questions.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use jobs::Index;
pub use model::{Error, Excerpt, KnowledgeDocument, NewDocument};
