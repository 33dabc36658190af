//! Room `identity`: sign-in, sessions, people and keys on a real database, through an in-process
//! router.

mod api_keys;
mod asvs;
mod browsers;
mod house;
mod invitations;
mod isolation;
mod operators;
mod people;
mod provisioning;
mod recovering;
mod refreshing;
mod revocation;
mod second_factors;
mod signing_in;
mod signing_keys;
mod surface;
mod sweeping;
