//! Room `integration`: other services that tenants hear from.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use jobs::Process;
pub use model::{Error, Source};
pub use service::Gate;
