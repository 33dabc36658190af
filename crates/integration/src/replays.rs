//! Room `integration`: delivering again, much of it: dead letters, or all that an endpoint missed.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use jobs::Replay;
