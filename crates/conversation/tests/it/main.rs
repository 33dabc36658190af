//! Room `conversation`: tests against a real PostgreSQL, with a channel made of paper.

mod house;
mod numbers;
mod paper;
mod policies;

mod answering;
mod channels;
mod chaos;
mod contacts;
mod conversations;
mod crowds;
mod delivery;
mod documents;
mod hooks;
mod ingest;
mod knowledge;
mod library;
mod searching;
mod shapes;
mod statuses;
mod visitors;
