//! Room `identity`: who holds a credential.

mod service;

pub use service::Bearers;
pub(crate) use service::{by_token, verify};
