//! Room `xtask`: installs a package of Debian's that a test needs and the machine lacks.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workshop::Workshop;

/// What to install, and what to do around it.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    /// Its name in Debian.
    pub(crate) name: &'a str,
    /// What to install where there is no Debian.
    pub(crate) by_hand: &'a str,
    /// A shell command before it.
    pub(crate) before: &'a str,
    /// A shell command after it.
    pub(crate) after: &'a str,
}

impl Package<'_> {
    /// Installs it, as root or by sudo.
    pub(crate) fn install(&self, workshop: &Workshop) -> Result<()> {
        let Self { name, by_hand, .. } = self;
        if !workshop.answers("apt-get", &["--version"]) {
            bail!("this is no Debian: install {by_hand} and run this again");
        }
        let mut command = if rustix::process::geteuid().is_root() {
            Command::new("sh")
        } else if workshop.answers("sudo", &["-n", "true"])
            || workshop.answers("sudo", &["--version"])
        {
            let mut sudo = Command::new("sudo");
            sudo.arg("sh");
            sudo
        } else {
            bail!("neither root nor sudo: as root, run `apt-get install {name}`, then this again");
        };
        let status = command.arg("-c").arg(self.script()).status().context("cannot run a shell")?;
        if status.success() { Ok(()) } else { bail!("`apt-get install {name}` failed ({status})") }
    }

    /// The package lists of a fresh machine are empty, so a failed install is tried again after an
    /// update.
    fn script(&self) -> String {
        let Self { name, before, after, .. } = self;
        format!(
            "set -e; export DEBIAN_FRONTEND=noninteractive; {before}; \
             install='apt-get install -y -q --no-install-recommends {name}'; \
             $install || {{ apt-get update -q && $install; }}; {after}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_install_script_is_a_shell_script() {
        let package = Package { name: "x", by_hand: "x", before: "true", after: "true" };
        let checked = Command::new("sh").args(["-n", "-c", &package.script()]).status().unwrap();
        assert!(checked.success());
    }
}
