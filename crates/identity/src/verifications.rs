//! Room `identity`: showing that an address is one's own.

pub(crate) mod http;
pub(crate) mod service;
