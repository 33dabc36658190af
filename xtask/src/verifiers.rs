//! Room `xtask`: puts the official libraries that receivers of webhooks use into `target/`, so that
//! tests can have our deliveries verified by them. Nothing of them is linked or shipped.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Package};
use crate::workshop::Workshop;

/// Of `PyPI` and npm, pinned.
const PYTHON: [&str; 3] = ["standardwebhooks==1.1.0", "svix==2.9.1", "cryptography==50.0.2"];
const NODE: [&str; 2] = ["standardwebhooks@1.1.1", "svix@2.5.0"];

/// Finds them or installs them.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    let place = place(workshop);
    let wanted = format!("{} {}", PYTHON.join(" "), NODE.join(" "));
    let marker = place.join("whole");
    ensure_programs(workshop)?;
    if fs::read_to_string(&marker).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    eprintln!("xtask: putting {wanted} into target, for tests of webhooks");
    if place.exists() {
        fs::remove_dir_all(&place).context("cannot remove the unfinished libraries")?;
    }
    fs::create_dir_all(&place).context("cannot make a folder for libraries")?;
    run(workshop.command("python3", &["-m", "venv"]).arg(place.join("venv")))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    run(workshop.command(place.join("venv/bin/python"), &pip).args(PYTHON))?;
    let npm = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    run(workshop.command("npm", &npm).arg(&place).args(NODE))?;
    fs::write(&marker, wanted).context("cannot mark the libraries as whole")
}

fn place(workshop: &Workshop) -> PathBuf {
    workshop.state("webhook-verifiers")
}

fn ensure_programs(workshop: &Workshop) -> Result<()> {
    let needs = [
        ("python3", ["-c", "import venv, ensurepip"].as_slice(), "python3-venv"),
        ("node", ["--version"].as_slice(), "nodejs"),
        ("npm", ["--version"].as_slice(), "npm"),
        ("go", ["version"].as_slice(), "golang-go"),
        ("php", ["--version"].as_slice(), "php-cli"),
        ("ruby", ["--version"].as_slice(), "ruby"),
    ];
    for (program, question, name) in needs {
        if workshop.answers(program, question) {
            continue;
        }
        let package = Package {
            name,
            before: String::new(),
            after: String::new(),
            otherwise: "install Python 3 with venv, Node.js and npm, Go, PHP and Ruby",
        };
        debian::install(workshop, &package)?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().context("cannot start the installer")?;
    if status.success() { Ok(()) } else { bail!("a library could not be installed ({status})") }
}
