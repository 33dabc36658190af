//! Room `xtask`: where the tree is, where its programs are built, and what the machine offers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The tree we stand in.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where Cargo puts programs of the dev profile: beside or where this one lies.
    dev_programs: PathBuf,
}

impl Workshop {
    /// Looks upwards from the current folder for the workspace.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::current_dir().context("there is no current folder")?;
        let Some(root) = here.ancestors().find(|folder| is_workspace(folder)) else {
            bail!("no workspace here or above: run it inside the repository");
        };
        let program = std::env::current_exe().context("cannot tell where xtask itself lies")?;
        let programs = program.parent().context("xtask lies in no folder")?;
        let dev_programs = programs.with_file_name("debug");
        Ok(Self { root: root.to_owned(), dev_programs })
    }

    /// A program of the dev profile.
    pub(crate) fn dev_program(&self, name: &str) -> PathBuf {
        self.dev_programs.join(name)
    }

    /// A program of the release profile.
    pub(crate) fn release_program(&self, name: &str) -> PathBuf {
        self.dev_programs.with_file_name("release").join(name)
    }

    /// The folder for what our own servers write, beside the programs.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.dev_programs.with_file_name(name)
    }

    /// A command that runs in the root.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// A cargo command.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        self.command("cargo", arguments)
    }

    /// Whether a probing command ends well; its output is dropped.
    pub(crate) fn answers(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = self.command(program, arguments);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    /// The test material beside the repository, if it is there and nobody chose another.
    pub(crate) fn corpora(&self) -> Option<PathBuf> {
        let beside = self.beside("data");
        (variable("MISYBOT_CORPORA").is_none() && beside.is_dir()).then_some(beside)
    }

    /// A path in the folder shared with other checkouts.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        self.root.with_file_name("shared").join(path)
    }
}

/// A variable of the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a program; nothing above it could hand it in"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_workspace(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
}
