//! Room `identity`: access tokens, signed and verified without a database.

pub(crate) mod model;
mod service;

pub use model::{Claims, Error, Issuer, PublicKey, Sealer, Subject};
pub(crate) use service::KnownTokens;
