//! Room `conversation`: raw payloads, stored before they are acknowledged, ingested after.

pub mod jobs;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use service::{Archives, Writers};
