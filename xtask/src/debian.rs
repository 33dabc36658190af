//! Room `xtask`: installs Debian packages that a fresh machine lacks, or unpacks them where they
//! start nothing.

use std::fs;
use std::path::Path;
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
    ensure_debian(workshop, otherwise)?;
    run_as_root(workshop, &package.script(), &format!("apt-get install {name}"))
}

/// Puts the files of a package into a folder of our own, which is made anew. Nothing is installed:
/// neither what the package needs nor what it would start. What Debian signed is checked.
pub(crate) fn unpack(workshop: &Workshop, name: &str, place: &Path, otherwise: &str) -> Result<()> {
    ensure_debian(workshop, otherwise)?;
    if place.exists() {
        fs::remove_dir_all(place).context("cannot remove what was unpacked before")?;
    }
    fs::create_dir_all(place).context("cannot make the folder to unpack into")?;
    let download = ["-q", "download", name];
    let fetch = || workshop.command("apt-get", &download).current_dir(place).status();
    if !fetch().context("cannot start apt-get")?.success() {
        run_as_root(workshop, "apt-get update -q", "apt-get update")?;
        if !fetch()?.success() {
            bail!("`apt-get download {name}` failed: {otherwise} and run this again");
        }
    }
    let archive = fs::read_dir(place)?.next().context("apt-get brought nothing")??.path();
    let status = workshop.command("dpkg-deb", &["-x"]).arg(&archive).arg(place).status();
    if !status.context("cannot start dpkg-deb")?.success() {
        bail!("{} could not be unpacked", archive.display());
    }
    fs::remove_file(&archive).context("cannot remove the package")
}

fn ensure_debian(workshop: &Workshop, otherwise: &str) -> Result<()> {
    if workshop.answers("apt-get", &["--version"]) {
        return Ok(());
    }
    bail!("this is no Debian: {otherwise} and run this again")
}

fn run_as_root(workshop: &Workshop, script: &str, what: &str) -> Result<()> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("sh")
    } else if workshop.answers("sudo", &["-n", "true"]) || workshop.answers("sudo", &["--version"])
    {
        let mut sudo = Command::new("sudo");
        sudo.arg("sh");
        sudo
    } else {
        bail!("neither root nor sudo: as root, run `{what}`, then this again");
    };
    let status = command.arg("-c").arg(script).status().context("cannot run a shell")?;
    if status.success() { Ok(()) } else { bail!("`{what}` failed ({status})") }
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
