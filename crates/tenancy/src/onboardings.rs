//! Room `tenancy`: where a tenant stands in its onboarding.

pub mod http;
pub mod model;
pub mod service;
mod store;

pub use service::Facts;
