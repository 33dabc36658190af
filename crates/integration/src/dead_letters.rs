//! Room `integration`: deliveries that were given up.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::DeadLetter;
