//! Room `tenancy`: plans, what they allow from when on, and which tenant has which.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Error, Plan};
