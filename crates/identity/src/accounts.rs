//! Room `identity`: people across tenants, and those who run the platform.

pub(crate) mod model;
mod service;
pub(crate) mod store;

pub use model::Email;
pub use service::ensure_operator;
