//! Room `xtask`: makes sure that a PostgreSQL server is installed. It is never started here:
//! `misybot` and the tests run it as a private server of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::debian::{self, Package};
use crate::workshop::{Workshop, variable};

const OLDEST_MAJOR: u32 = 15;

/// Where Debian puts each version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Tells Debian's package not to start a server of its own (`pg_createcluster(1)`).
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/misybot.conf";

/// Finds a server or installs Debian's package.
pub(crate) fn ensure(workshop: &Workshop) -> Result<()> {
    if find(&search_path()).is_some() {
        return Ok(());
    }
    eprintln!(
        "xtask: no PostgreSQL {OLDEST_MAJOR} or newer is installed; installing Debian's package"
    );
    install(workshop)?;
    match find(&search_path()) {
        Some(folder) => {
            eprintln!("xtask: PostgreSQL is in {}", folder.display());
            Ok(())
        }
        None => {
            bail!("the package `postgresql` brought no server of version {OLDEST_MAJOR} or newer")
        }
    }
}

fn search_path() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&variable("PATH").unwrap_or_default()).collect();
    for version in fs::read_dir(DEBIAN).into_iter().flatten().flatten() {
        folders.push(version.path().join("bin"));
    }
    folders
}

/// The first folder with a whole server that is new enough.
fn find(folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().find(|folder| is_server(folder)).cloned()
}

fn is_server(folder: &Path) -> bool {
    let whole = ["postgres", "initdb"].iter().all(|program| folder.join(program).is_file());
    whole && version_of(&folder.join("postgres")).is_some_and(|major| major >= OLDEST_MAJOR)
}

fn version_of(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// The 15 of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn parse_major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

/// The setting against the package's own server is only for this install.
fn install(workshop: &Workshop) -> Result<()> {
    let before = format!(
        "mkdir -p \"$(dirname {NO_CLUSTER})\"; \
         echo 'create_main_cluster = false' > {NO_CLUSTER}; \
         trap 'rm -f {NO_CLUSTER}' EXIT;"
    );
    let otherwise = "install PostgreSQL 15 or newer (`postgres` and `initdb` in PATH)";
    debian::install(
        workshop,
        &Package { name: "postgresql", before, after: String::new(), otherwise },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_debian_s_and_from_the_plain_form() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("mysqld 8.0"), None);
    }

    #[test]
    fn a_folder_without_initdb_is_no_server() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("postgres"), "").unwrap();
        assert_eq!(find(&[folder.path().to_owned()]), None);
    }
}
