//! Room `xtask`: programs of others that judge ours in tests, below `target/` and never shipped:
//! `scim2-tester` for SCIM; `pysaml2` and `saml-idp` as identity providers for SAML.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Package};
use crate::python::Environment;
use crate::workshop::Workshop;

const PYTHON: Environment = Environment {
    folder: "judges-venv",
    packages: &["scim2-tester[httpx2]==0.5.2", "pysaml2==7.5.4"],
};

/// The folder of Node's packages; tests know it by this name.
const NODE: &str = "judges-node";

/// `saml-idp` as published asks for an old `samlp` with known holes.
const MANIFEST: &str = r#"{
  "private": true,
  "dependencies": { "saml-idp": "1.2.1" },
  "overrides": { "saml-idp": { "samlp": "8.0.0" } }
}
"#;

/// Installs what is missing.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    ensure_program(workshop, "xmlsec1", "xmlsec1", "install `xmlsec1`")?;
    ensure_program(workshop, "npm", "npm", "install Node.js 20 or newer with npm")?;
    PYTHON.ensure(workshop)?;
    ensure_node(workshop)
}

fn ensure_program(
    workshop: &Workshop,
    program: &str,
    name: &'static str,
    otherwise: &'static str,
) -> Result<()> {
    if workshop.answers(program, &["--version"]) {
        return Ok(());
    }
    let package = Package { name, before: String::new(), after: String::new(), otherwise };
    debian::install(workshop, &package)
}

fn ensure_node(workshop: &Workshop) -> Result<()> {
    let place = workshop.state(NODE);
    let marker = place.join("whole");
    if fs::read_to_string(&marker).is_ok_and(|text| text == MANIFEST) {
        return Ok(());
    }
    fs::create_dir_all(&place).context("cannot make the folder of Node's packages")?;
    fs::write(place.join("package.json"), MANIFEST).context("cannot write package.json")?;
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    let status = workshop.command("npm", &install).current_dir(&place).status();
    let status = status.context("cannot start npm")?;
    if !status.success() {
        bail!("saml-idp could not be installed ({status})");
    }
    fs::write(marker, MANIFEST).context("cannot mark the folder as whole")
}
