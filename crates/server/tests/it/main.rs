//! Room `server`: the whole program, as its users meet it.
#![cfg(test)]

mod crash;
mod documents;
mod golden;
mod program;
mod refusals;
mod story;
mod sweep;
