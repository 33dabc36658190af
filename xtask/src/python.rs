//! Room `xtask`: Python environments of our own below `target/`, for programs that only tests use.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Package};
use crate::workshop::Workshop;

/// An environment and what is in it.
pub(crate) struct Environment {
    /// Its folder below `target/`.
    pub(crate) folder: &'static str,
    /// What `pip` installs, each with its version.
    pub(crate) packages: &'static [&'static str],
}

impl Environment {
    fn place(&self, workshop: &Workshop) -> PathBuf {
        workshop.state(self.folder)
    }

    fn marker(&self, workshop: &Workshop) -> PathBuf {
        self.place(workshop).join("whole")
    }

    /// Whether it is there with exactly these packages.
    pub(crate) fn is_whole(&self, workshop: &Workshop) -> bool {
        let kept = fs::read_to_string(self.marker(workshop));
        kept.is_ok_and(|text| text == self.packages.join(" "))
    }

    /// A program in it.
    pub(crate) fn program(&self, workshop: &Workshop, name: &str) -> PathBuf {
        self.place(workshop).join("bin").join(name)
    }

    /// Makes it from nothing, unless it is whole.
    pub(crate) fn ensure(&self, workshop: &Workshop) -> Result<()> {
        if self.is_whole(workshop) {
            return Ok(());
        }
        ensure_python(workshop)?;
        let place = self.place(workshop);
        if place.exists() {
            fs::remove_dir_all(&place).context("cannot remove the unfinished environment")?;
        }
        self.run(workshop.command("python3", &["-m", "venv"]).arg(&place))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let mut command = workshop.command(place.join("bin/python"), &pip);
        self.run(command.arg("--no-input").args(self.packages))?;
        fs::write(self.marker(workshop), self.packages.join(" "))
            .context("cannot mark the environment as whole")
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let status = command.status().context("cannot start python3")?;
        if status.success() {
            return Ok(());
        }
        bail!("{} could not be installed ({status})", self.packages.join(" "))
    }
}

/// Debian keeps what makes environments in a package of its own.
fn ensure_python(workshop: &Workshop) -> Result<()> {
    if workshop.answers("python3", &["-c", "import venv, ensurepip"]) {
        return Ok(());
    }
    let package = Package {
        name: "python3-venv",
        before: String::new(),
        after: String::new(),
        otherwise: "install Python 3 with venv",
    };
    debian::install(workshop, &package)
}
