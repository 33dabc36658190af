//! Room `identity`: the people of a tenant.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
pub use service::{Provisioner, TABLES, count_others};
