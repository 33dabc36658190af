//! Room `identity`: which tokens and keys were seen in use, written down in batches.

mod model;
mod service;

pub use service::Sightings;
pub(crate) use service::flush;
