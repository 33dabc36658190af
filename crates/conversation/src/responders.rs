//! Room `conversation`: responders, who answer customers before people do.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use jobs::Respond;
pub use model::{Candidate, Context, Error, Found, HandOverReason, Reply, Turn};
pub use service::{KnowledgeResponder, Library, Responder};
