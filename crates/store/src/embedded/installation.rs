//! Room `store`: finds the newest PostgreSQL server of this machine that is safe to use.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// A server's version; compares by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// For example 15.
    pub major: u32,
    /// For example 18.
    pub minor: u32,
}

impl Version {
    /// Reads the answer of `postgres --version`, such as `postgres (PostgreSQL) 15.18 (Debian ..)`.
    /// A development or beta version is none.
    fn parse(answer: &str) -> Option<Self> {
        let (_, rest) = answer.split_once("(PostgreSQL) ")?;
        let (major, minor) = rest.split_whitespace().next()?.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Whether it has the last fixes to row-level security: CVE-2025-8713 and those before it, see
    /// <https://www.postgresql.org/support/security/CVE-2025-8713/>.
    pub fn is_safe(self) -> bool {
        let first = match self.major {
            ..15 => return false,
            15 => 14,
            16 => 10,
            17 => 6,
            _ => 0,
        };
        self.minor >= first
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A server's programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installation {
    /// First, so that the newest compares greatest.
    pub version: Version,
    /// Where `postgres` and `initdb` are.
    pub bin_dir: PathBuf,
}

impl Installation {
    /// The path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    fn inspect(bin_dir: &Path) -> Option<Self> {
        let postgres = std::fs::canonicalize(bin_dir.join("postgres")).ok()?;
        let bin_dir = postgres.parent()?.to_owned();
        if !bin_dir.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let version = Version::parse(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { version, bin_dir })
    }
}

/// Where servers are looked for.
#[derive(Debug)]
pub(super) struct Search(Vec<PathBuf>);

impl Search {
    /// Only `bin_dir` if it is given; else the directories of `path` (as in `PATH`), Debian's
    /// versioned directories and the place where a build from source goes.
    pub(super) fn new(bin_dir: Option<&Path>, path: Option<&OsStr>) -> Self {
        if let Some(bin_dir) = bin_dir {
            return Self(vec![bin_dir.to_owned()]);
        }
        let mut dirs: Vec<PathBuf> =
            path.map(std::env::split_paths).into_iter().flatten().collect();
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        dirs.extend(versions.map(|entry| entry.path().join("bin")));
        dirs.push(PathBuf::from("/usr/local/pgsql/bin"));
        Self(dirs)
    }

    /// The newest safe server; of the given major version if data of that version exist in `data`.
    pub(super) fn find(&self, major: Option<u32>, data: &Path) -> Result<Installation, Error> {
        let all: BTreeSet<Installation> =
            self.0.iter().filter_map(|dir| Installation::inspect(dir)).collect();
        let Some(newest) = all.last() else {
            return Err(Error::NotInstalled { searched: self.to_string() });
        };
        let fits = |one: &&Installation| major.is_none_or(|major| one.version.major == major);
        let Some(best) = all.iter().rfind(fits) else {
            return Err(Error::MajorMissing {
                data: data.to_owned(),
                major: major.unwrap_or(newest.version.major),
                searched: self.to_string(),
            });
        };
        if !best.version.is_safe() {
            return Err(Error::TooOld { found: best.version, dir: best.bin_dir.clone() });
        }
        Ok(best.clone())
    }
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dirs: Vec<_> = self.0.iter().map(|dir| dir.display().to_string()).collect();
        f.write_str(&dirs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(Version::parse(debian), Some(version(15, 18)));
        assert_eq!(Version::parse("postgres (PostgreSQL) 18.0\n"), Some(version(18, 0)));
        assert_eq!(Version::parse("postgres (PostgreSQL) 19devel\n"), None);
        assert_eq!(Version::parse("postgres (PostgreSQL) 18beta1\n"), None);
        assert_eq!(Version::parse("bash: postgres: no"), None);
    }

    #[test]
    fn a_server_without_the_last_fix_to_row_level_security_is_not_safe() {
        let last_unsafe = [(14, 23), (15, 13), (16, 9), (17, 5)];
        let first_safe = [(15, 14), (16, 10), (17, 6), (18, 0), (19, 1)];
        assert!(last_unsafe.into_iter().all(|(major, minor)| !version(major, minor).is_safe()));
        assert!(first_safe.into_iter().all(|(major, minor)| version(major, minor).is_safe()));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version(15, 18) > version(15, 9));
        assert!(version(16, 0) > version(15, 99));
    }
}
