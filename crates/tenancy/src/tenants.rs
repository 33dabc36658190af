//! Room `tenancy`: the tenants.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Error, NewTenant, Status, Tenant};
