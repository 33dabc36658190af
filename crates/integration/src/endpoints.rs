//! Room `integration`: where tenants want to be told.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Endpoint, Error};
pub use service::Opened;
pub use service::provision::{Provisioner, TABLES};
