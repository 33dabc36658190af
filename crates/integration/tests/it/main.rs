//! Room `integration`: tests against a real PostgreSQL and real receivers.

mod house;
mod sink;

mod endpoints;
mod events;
mod fairness;
mod hostile;
mod identities;
mod letters;
mod names;
mod publications;
mod roads;
mod sources;
mod tokens;
mod verifiers;
