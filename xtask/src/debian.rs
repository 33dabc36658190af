//! Room `xtask`: installs Debian packages that a fresh machine lacks.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workshop::Workshop;

/// A package and what must be done before it is installed.
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: &'static str,
    /// Lines of shell that run first; may be empty.
    pub(crate) before: String,
    /// A line of shell that runs last; may be empty.
    pub(crate) after: String,
    /// What to do where there is no such package.
    pub(crate) otherwise: &'static str,
}

/// Installs a package as root or through sudo.
pub(crate) fn install(workshop: &Workshop, package: &Package) -> Result<()> {
    let Package { name, otherwise, .. } = package;
    if !workshop.answers("apt-get", &["--version"]) {
        bail!("this is no Debian: {otherwise} and run this again");
    }
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("sh")
    } else if workshop.answers("sudo", &["-n", "true"]) || workshop.answers("sudo", &["--version"])
    {
        let mut sudo = Command::new("sudo");
        sudo.arg("sh");
        sudo
    } else {
        bail!("neither root nor sudo: as root, run `apt-get install {name}`, then this again");
    };
    let status = command.arg("-c").arg(package.script()).status().context("cannot run a shell")?;
    if status.success() { Ok(()) } else { bail!("`apt-get install {name}` failed ({status})") }
}

impl Package {
    /// The package lists of a fresh machine are empty, so a failed install is tried again after an
    /// update.
    fn script(&self) -> String {
        format!(
            "set -e; export DEBIAN_FRONTEND=noninteractive; {before} \
             install='apt-get install -y -q --no-install-recommends {name}'; \
             $install || {{ apt-get update -q && $install; }}\n{after}",
            before = self.before,
            after = self.after,
            name = self.name
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_install_script_is_a_shell_script() {
        let before = "trap 'rm -f y' EXIT;".to_owned();
        let package = Package { name: "x", before, after: "true".to_owned(), otherwise: "" };
        let checked = Command::new("sh").args(["-n", "-c", &package.script()]).status().unwrap();
        assert!(checked.success());
    }
}
