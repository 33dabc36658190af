//! Room `identity`: which of the known subjects may do something, and with which of the known
//! resources: the searches of `AuthZEN` 1.0.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
