//! Room `tenancy`: the workflows that new tenants are led through, as operators write them.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;
