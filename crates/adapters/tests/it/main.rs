//! Room `adapters`: tests against payloads, a peer and the emulator.

mod corpora;
mod golden;
mod mutations;
mod sending;
mod shown;
