//! Room `identity`: domains that a tenant has proved to be its own, and where their people sign in.

pub(crate) mod http;
pub(crate) mod jobs;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use jobs::{Recheck, Watch};
pub use model::Error;
