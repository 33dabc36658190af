//! Room `identity`: what is no longer believed before it expires, known to every process within a
//! second and asked without the database.

pub(crate) mod model;
mod service;
pub(crate) mod store;

pub use service::Revocations;
