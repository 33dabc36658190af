//! Room `conversation`: tests against a real PostgreSQL, with a channel made of paper.

mod house;
mod paper;

mod answering;
mod contacts;
mod conversations;
mod delivery;
mod knowledge;
mod statuses;
