//! Room `tenancy`: each tenant's keys. Made at provisioning, kept wrapped under the root key,
//! opened into a small cache.

pub mod model;
pub mod service;
pub(crate) mod store;

pub use service::Keys;
