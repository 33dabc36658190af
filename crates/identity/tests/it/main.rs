//! Room `identity`: sign-in, sessions, people and keys on a real database, through an in-process
//! router.

mod api_keys;
mod evaluations;
mod house;
mod isolation;
mod operators;
mod people;
mod policies;
mod provisioning;
mod refreshing;
mod revocation;
mod roles;
mod service_accounts;
mod signing_in;
mod signing_keys;
mod surface;
mod sweeping;
