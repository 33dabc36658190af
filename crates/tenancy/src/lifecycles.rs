//! Room `tenancy`: stopping, closing, restoring and removing tenants.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Lifecycle, Report};
