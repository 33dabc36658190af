//! Room `server`: the whole program, as its users meet it.
#![cfg(test)]

mod crash;
mod golden;
mod isolation;
mod program;
mod story;
mod sweep;
