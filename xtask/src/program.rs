//! Room `xtask`: building the release program and becoming it.
//!
//! No C compiler is looked for: aws-lc-rs, the only C in the tree, needs just the `cc` that linked
//! this program.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context, Result, bail};

use crate::postgres;
use crate::verbs::Usage;
use crate::workshop::Workshop;

/// `cargo xtask up`.
pub(crate) fn up(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    become_misybot(workshop, "up", arguments)
}

/// `cargo xtask bench`.
pub(crate) fn bench(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    if arguments.is_empty() {
        return Err(Usage("which bench? `cargo xtask bench NAME`".to_owned()).into());
    }
    become_misybot(workshop, "bench", arguments)
}

/// Replaces this process, so that Ctrl-C and signals reach the program itself. It keeps the current
/// folder: paths among the arguments mean what the caller meant.
fn become_misybot(workshop: &Workshop, verb: &str, arguments: &[String]) -> Result<()> {
    postgres::ensure(workshop)?;
    let build = ["build", "--release", "--package", "misy-server", "--bin", "misybot"];
    let status = workshop.cargo(&build).status().context("cannot start `cargo`")?;
    if !status.success() {
        bail!("the build failed");
    }
    let program = workshop.release_program("misybot");
    let mut command = std::process::Command::new(&program);
    let error = command.arg(verb).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
