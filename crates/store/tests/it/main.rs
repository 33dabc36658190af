//! Room `store`: integration tests against a real PostgreSQL.

mod cache;
mod documents;
mod embedded;
mod isolation;
mod wire;
