//! Room `identity`: people who run or look after the platform.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
