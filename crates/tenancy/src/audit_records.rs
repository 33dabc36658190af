//! Room `tenancy`: the audit log, as the tenant's own people search it. Every room writes to it.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Error, Filter, Record};
