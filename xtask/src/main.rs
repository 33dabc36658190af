//! Room `xtask`: the developer's verbs. `cargo xtask --help` lists them.
//!
//! Never: a crate of the workspace, so that it builds in seconds on a fresh machine and can judge
//! the others without having been built with them.

mod database;
mod debian;
mod documents;
mod gates;
mod golden;
mod judges;
mod mongo;
mod mutants;
mod postgres;
mod program;
mod providers;
mod python;
mod redis;
mod rooms;
mod steps;
mod suite;
mod supply;
mod verbs;
mod verifiers;
mod workshop;

use std::process::ExitCode;

/// Exit codes: 0 done, 1 failed, 2 usage.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match verbs::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<verbs::Usage>() => {
            eprintln!("xtask: {error}\n\n{}", verbs::overview());
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
