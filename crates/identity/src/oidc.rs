//! Room `identity`: `OpenID` Connect 1.0 as the relying party: the code flow with PKCE, and logout
//! in both directions.

pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod service;
