//! Room `identity`: keys of a tenant's programs.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::{Error, live_key};
pub use service::KnownKeys;
