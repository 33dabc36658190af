//! Room `conversation`: visitors of tenants' pages, on channels that this program serves itself.

pub mod http;
pub mod model;
pub mod service;

pub use model::Error;
pub use service::Seats;
