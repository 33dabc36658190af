//! Room `tenancy`: a tenant's jobs that gave up, as its own people see them and have them run
//! again.

pub mod http;
pub mod model;
pub mod service;

pub use model::Error;
