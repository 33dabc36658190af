//! Room `trace`: spans of distributed traces, and their way to a collector (`OpenTelemetry`, OTLP).
//!
//! Other rooms begin spans with `tracing` and put them into the caller's trace by [`spans::enter`];
//! nobody but this room knows whether they are exported. Without an endpoint nothing is: then a
//! span costs what a disabled log line costs.
//!
//! Never: a body, a text, an address, a credential as attribute; events of the log in a span; a
//! program that waits for a collector.

mod config;
mod export;
pub mod spans;

pub use config::Config;
pub use export::{Export, Failed};
