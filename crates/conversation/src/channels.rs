//! Room `conversation`: a tenant's accounts at the providers.

pub mod http;
pub mod model;
pub mod service;
pub(crate) mod store;

pub use model::{AccountCache, ChannelAccount, Error, Opened};
