//! Room `identity`: sign-in, sessions, people and keys on a real database, through an in-process
//! router.

mod api_keys;
mod browser;
mod domains;
mod exchanges;
mod house;
mod impersonations;
mod isolation;
mod liar;
mod oidc;
mod oidc_logout;
mod oidc_provider;
mod operators;
mod people;
mod provisioning;
mod refreshing;
mod revocation;
mod saml;
mod scim;
mod signing_in;
mod signing_keys;
mod sso_connections;
mod surface;
mod sweeping;
