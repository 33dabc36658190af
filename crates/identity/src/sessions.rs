//! Room `identity`: signing in, staying signed in, signing out.

pub(crate) mod http;
pub(crate) mod jobs;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use jobs::Sweep;
pub use model::Error;
