//! Room `sandbox`: its tests against a running emulator, over HTTP as everybody else uses it.

mod corpora;
mod durability;
mod faults;
mod harness;
mod inbound;
mod limits;
mod media;
mod objects;
mod outbound;
mod rates;
mod scripts;
mod sinks;
mod webhooks;
