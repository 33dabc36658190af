//! Room `integration`: tests against a real PostgreSQL and real receivers.

mod house;
mod sink;

mod endpoints;
mod events;
mod fairness;
mod hostile;
mod letters;
mod roads;
mod sources;
mod verifiers;
