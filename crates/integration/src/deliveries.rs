//! Room `integration`: events on their way to endpoints.

pub mod http;
pub mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::{Delivery, Status};
pub use service::Postman;
