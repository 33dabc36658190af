//! Room `tenancy`: what every store holds of a tenant, against what it should hold.

pub mod http;
pub mod jobs;
pub mod model;
pub mod service;

pub use model::{Inventory, Item, Verdict};
