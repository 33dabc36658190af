//! Room `server`: the whole program, as its users meet it.
#![cfg(test)]

mod crash;
mod program;
mod story;
