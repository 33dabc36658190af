//! Room `server`: the whole program, as its users meet it.
#![cfg(test)]

mod apart;
mod chat;
mod crash;
mod deliveries;
mod documents;
mod fuzz;
mod golden;
mod isolation;
mod leftovers;
mod policies;
mod program;
mod refusals;
mod story;
mod sweep;
mod traces;
