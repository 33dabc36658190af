//! Room `server`: the program `misybot`. Reads the configuration, makes clock, entropy and keys,
//! ties the rooms together and runs them. A command a file.
//!
//! Never: SQL, a rule, the body of an HTTP answer.

pub mod ambient;
pub mod app;
pub mod cache;
pub mod cli;
pub mod commands;
pub mod config;
mod onboarding;
pub mod root_key;
pub mod telemetry;
