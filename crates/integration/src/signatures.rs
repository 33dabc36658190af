//! Room `integration`: signatures of what is sent, and what they are checked by.

pub mod http;
pub mod model;
pub(crate) mod service;

pub use model::{SigningKey, Verdict};
