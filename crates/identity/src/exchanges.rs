//! Room `identity`: token exchange (RFC 8693): from one tenant to another, and from the platform
//! into a tenant.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
