//! Room `server`: the whole program, as its users meet it.
#![cfg(test)]

mod apart;
mod cache;
mod crash;
mod documents;
mod golden;
mod isolation;
mod policies;
mod program;
mod refusals;
mod story;
mod sweep;
