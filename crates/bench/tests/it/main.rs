//! Room `bench`: what the benches stand on, against a real PostgreSQL.

mod plans;
mod rls;
