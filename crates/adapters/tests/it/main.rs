//! Room `adapters`: tests against payloads, a peer and the emulator.

mod conformance;
mod corpora;
mod emulator;
mod golden;
mod mutations;
mod peer;
mod sending;
mod shown;
mod visitor;
