//! Room `identity`: visits of operators inside a tenant, with a reason and an end.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
