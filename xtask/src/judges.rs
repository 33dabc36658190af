//! Room `xtask`: programs of others that judge ours in tests, below `target/` and never shipped:
//! `scim2-tester` for SCIM, `schemathesis` for the reference of the whole API, and `pysaml2` as an
//! identity provider that signs with `xmlsec1`.

use anyhow::Result;

use crate::debian::{self, Package};
use crate::python::Environment;
use crate::workshop::Workshop;

const PYTHON: Environment = Environment {
    folder: "judges-venv",
    packages: &["scim2-tester[httpx2]==0.5.2", "pysaml2==7.5.4", "schemathesis==4.32.5"],
};

/// Installs what is missing.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    ensure_xmlsec(workshop)?;
    PYTHON.ensure(workshop)
}

fn ensure_xmlsec(workshop: &Workshop) -> Result<()> {
    if workshop.answers("xmlsec1", &["--version"]) {
        return Ok(());
    }
    let package = Package {
        name: "xmlsec1",
        before: String::new(),
        after: String::new(),
        otherwise: "install `xmlsec1`",
    };
    debian::install(workshop, &package)
}
