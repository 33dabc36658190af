//! Room `web`: the conventions of the API, through an in-process router with sample routes.

mod admission;
mod bodies;
mod browsers;
mod contexts;
mod idempotency;
mod kit;
mod limits;
mod logs;
mod noise;
mod problems;
mod queries;
mod reference;
mod sample;
mod serving;
mod versions;
