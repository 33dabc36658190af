//! Room `identity`: sign-in at SAML 2.0 providers of a tenant.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
