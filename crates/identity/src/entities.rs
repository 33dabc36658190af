//! Room `identity`: subjects and resources of a tenant's own applications that the decision API
//! knows: with them questions are filled up, and among them is searched.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;
