//! Room `integration`: events: the catalogue, those of tenants' own, and those that were kept.

pub mod http;
pub mod jobs;
pub mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use jobs::{KEEP_DAYS_EVERY, KeepDays};
pub use service::{Backlogs, Publications};
