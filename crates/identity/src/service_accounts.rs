//! Room `identity`: programs of a tenant, which keys belong to.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
