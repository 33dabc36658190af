//! Room `conversation`: messages, in and out, and what became of them.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use jobs::{Deliver, MarkRead, MatchStatuses};
pub use model::{
    Attempt, Author, AuthorKind, Citation, Direction, Error, Message, NewInbound, Received,
};
