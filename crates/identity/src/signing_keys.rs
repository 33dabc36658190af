//! Room `identity`: the keys that sign access tokens, their rotation and their publication.

pub(crate) mod http;
pub(crate) mod model;
mod service;
mod store;

pub use service::KeyRing;
