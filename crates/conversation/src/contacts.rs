//! Room `conversation`: contacts, the customers of a tenant, each with a set of identities.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Contact, Error, Identity};
