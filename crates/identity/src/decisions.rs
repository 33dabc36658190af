//! Room `identity`: decisions that were written down.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use service::Log;
