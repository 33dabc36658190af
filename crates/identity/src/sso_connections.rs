//! Room `identity`: a tenant's connections to identity providers, whatever their protocol.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
