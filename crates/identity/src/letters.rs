//! Room `identity`: the mails of this room and the links in them.

pub(crate) mod jobs;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use jobs::{Send, SendAcross, Tell};
pub use model::Error;
pub use service::Stewards;
