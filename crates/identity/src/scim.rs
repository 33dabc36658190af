//! Room `identity`: a directory keeps the people and groups of a tenant, by SCIM 2.0 (RFC 7643,
//! RFC 7644).

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
