//! Room `identity`: what a password must be, and how one is kept and compared.

pub(crate) mod model;
mod service;

pub use model::Error;
pub use service::Hasher;
