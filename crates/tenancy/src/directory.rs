//! Room `tenancy`: who is active, for every request of every tenant, without a query each.

pub mod service;

pub use service::Directory;
