//! Room `identity`: another password in place of a forgotten one.

pub(crate) mod http;
pub(crate) mod service;
