//! Room `conversation`: where providers deliver. Routed to a tenant, verified, stored,
//! acknowledged.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{Error, Routes};
