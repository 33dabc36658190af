//! Room `identity`: asking people into a tenant.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
