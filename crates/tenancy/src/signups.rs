//! Room `tenancy`: people who ask for a tenant of their own.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Config, Front};
