//! Room `xtask`: the gates a change passes: format, lints, rooms, links, dependencies, figures,
//! golden files.

use anyhow::Result;

use crate::rooms::{self, Tree};
use crate::steps::Steps;
use crate::verbs::{check_flag, no_arguments};
use crate::workshop::Workshop;
use crate::{documents, golden, supply};

/// `cargo xtask check`.
pub(crate) fn check(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    no_arguments("check", arguments)?;
    let mut steps = Steps::begin()?;
    format_step(workshop, &mut steps)?;
    rooms_step(workshop, &mut steps)?;
    steps.step("links", |_| documents::check(&workshop.root))?;
    figures_step(workshop, &mut steps)?;
    supply::check(workshop, &mut steps)?;
    lint_step(workshop, &mut steps)?;
    golden::check_golden(workshop, &mut steps)?;
    steps.finish()
}

/// `cargo xtask fmt`.
pub(crate) fn fmt(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    let check = check_flag("fmt", arguments)?;
    let mut steps = Steps::begin()?;
    if check {
        format_step(workshop, &mut steps)?;
    } else {
        steps.run("fmt", &mut workshop.cargo(&["fmt", "--all"]))?;
    }
    steps.finish()
}

/// `cargo xtask lint`.
pub(crate) fn lint(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    let mut steps = Steps::begin()?;
    if arguments.is_empty() {
        lint_step(workshop, &mut steps)?;
    } else {
        let mut clippy = workshop.cargo(&["clippy", "--all-targets"]);
        steps.run("lint", clippy.args(arguments).args(["--", "-D", "warnings"]))?;
    }
    steps.finish()
}

/// `cargo xtask rooms`.
pub(crate) fn rooms(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    no_arguments("rooms", arguments)?;
    let mut steps = Steps::begin()?;
    rooms_step(workshop, &mut steps)?;
    steps.finish()
}

/// Checks the walls.
pub(crate) fn rooms_step(workshop: &Workshop, steps: &mut Steps) -> Result<bool> {
    steps.step("rooms", |_| {
        let found = rooms::check(&Tree::read(&workshop.root)?);
        for violation in &found {
            println!("{violation}");
        }
        Ok(found.is_empty())
    })
}

fn format_step(workshop: &Workshop, steps: &mut Steps) -> Result<()> {
    if workshop.answers("cargo", &["fmt", "--version"]) {
        steps.run("format", &mut workshop.cargo(&["fmt", "--all", "--", "--check"]))?;
    } else {
        steps.skip("format", "rustfmt is missing: `rustup component add rustfmt`");
    }
    Ok(())
}

fn lint_step(workshop: &Workshop, steps: &mut Steps) -> Result<()> {
    if workshop.answers("cargo", &["clippy", "--version"]) {
        let line = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps.run("lint", &mut workshop.cargo(&line))?;
    } else {
        steps.skip("lint", "clippy is missing: `rustup component add clippy`");
    }
    Ok(())
}

/// The fence of figures: lengths, nesting, comments, repetition, share of tests.
fn figures_step(workshop: &Workshop, steps: &mut Steps) -> Result<()> {
    let (script, fence) = (workshop.beside("tools/measure.py"), workshop.beside("tools/gate.txt"));
    if !script.is_file() || !fence.is_file() {
        steps.skip("figures", "there is no measure.py beside the repository");
    } else if !workshop.answers("python3", &["--version"]) {
        steps.skip("figures", "python3 is missing");
    } else {
        let mut measure = workshop.command("python3", &[]);
        measure.arg(script).arg("crates").arg("--gate").arg(fence);
        steps.run("figures", &mut measure)?;
    }
    Ok(())
}
