//! Room `identity`: access tokens, signed and verified without a database.

pub(crate) mod model;

pub use model::{Claims, Error, Issuer, PublicKey, Sealer, Subject};
