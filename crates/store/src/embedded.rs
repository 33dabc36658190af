//! Room `store`: the embedded PostgreSQL.
