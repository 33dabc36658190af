//! Room `integration`: tests against a real PostgreSQL and real receivers.

mod house;
mod sink;

mod events;
mod roads;
