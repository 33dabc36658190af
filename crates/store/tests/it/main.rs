//! Room `store`: integration tests against a real PostgreSQL.

mod embedded;
