//! Room `tenancy`: making everything that a tenant needs, and taking it away again.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::Provisioning;
