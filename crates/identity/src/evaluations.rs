//! Room `identity`: decisions for a tenant's own applications, in the shape of `AuthZEN` 1.0.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
