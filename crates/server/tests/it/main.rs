//! Room `server`: the whole program, as its users meet it.
#![cfg(test)]

mod cache;
mod crash;
mod golden;
mod program;
mod story;
mod sweep;
