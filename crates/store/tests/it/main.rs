//! Room `store`: integration tests against a real PostgreSQL.

mod cache;
mod documents;
mod embedded;
mod encryption;
mod idempotency;
mod installations;
mod isolation;
mod migrations;
mod redis;
mod stage;
mod transactions;
mod walls;
mod wire;
