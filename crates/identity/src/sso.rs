//! Room `identity`: signing in through an identity provider, whatever its protocol. A protocol
//! begins a login with [`service::begin`], takes it back with [`service::take`], and hands what the
//! provider said to [`service::arrive`], which decides and sends the visitor on with a code.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
pub(crate) mod store;

pub use model::Error;
pub use service::Outside;
