//! Room `integration`: what other services send: each provider's scheme, and the whole way from the
//! wire to an endpoint.

mod address;
mod bodies;
mod handshakes;
mod owners;
mod replays;
mod schemes;
