//! Room `xtask`: makes sure that a MongoDB-compatible server is there for the tests: `mongod` if one
//! is installed, else `SecantusDB` in a Python environment of its own under `target/`. It is GPL-2.0
//! and only ever a process beside the tests: nothing of it is linked or shipped
//! (`docs/adr/0012-a-document-server-behind-the-same-handle.md`).

use std::path::PathBuf;

use anyhow::Result;

use crate::python::Environment;
use crate::workshop::{Workshop, variable};

/// Pinned: a beta of one maintainer.
const SERVER: Environment =
    Environment { folder: "mongo-venv", packages: &["SecantusDB==0.7.0b3"] };
const PROGRAM: &str = "secantusd-py";

/// Finds a server or installs one.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    if find(workshop).is_some() {
        return Ok(());
    }
    eprintln!(
        "xtask: no `mongod` is installed; putting {} (GPL-2.0, tests only) into target",
        SERVER.packages.join(" ")
    );
    SERVER.ensure(workshop)
}

/// The program, if there is one.
pub(crate) fn find(workshop: &Workshop) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("mongod"));
    let ours = SERVER.is_whole(workshop).then(|| SERVER.program(workshop, PROGRAM));
    installed.chain(ours).find(|program| program.is_file())
}
