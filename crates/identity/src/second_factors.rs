//! Room `identity`: one-time passwords beside the password, codes for whoever lost them, and which
//! roles need them.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
