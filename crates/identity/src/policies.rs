//! Room `identity`: what a tenant forbids and permits beside its roles.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
pub use service::Engine;
