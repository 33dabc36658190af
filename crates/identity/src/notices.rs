//! Room `identity`: what every process has to learn at once of who may do what.

pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use service::Notices;
