//! Room `identity`: how often somebody may try to sign in.

mod model;
mod service;

pub use model::Allowance;
pub use service::{Attempts, Error};
