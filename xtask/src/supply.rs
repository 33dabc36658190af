//! Room `xtask`: the dependency tree against `deny.toml`: by cargo-deny, or by ourselves without it.

mod licenses;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::steps::Steps;
use crate::workshop::Workshop;

/// Where cargo-deny looks for <https://github.com/RustSec/advisory-db> below its database folder; the
/// number is its hash of that address.
const ADVISORIES: &str = "advisory-db-3157b0e258782691";

/// Checks licences, bans, sources and, where a database can be had, advisories.
pub(crate) fn check(workshop: &Workshop, steps: &mut Steps) -> Result<()> {
    if !workshop.answers("cargo", &["deny", "--version"]) {
        steps.skip("advisories", "cargo-deny is missing: `cargo install cargo-deny --locked`");
        steps.step("dependencies", |_| check_ourselves(workshop))?;
        return Ok(());
    }
    let mut deny = workshop.cargo(&["deny", "--log-level", "error", "check"]);
    steps.run("dependencies", deny.args(["bans", "licenses", "sources"]))?;
    let snapshot = workshop.beside("data/auth/rustsec-advisory-db/advisory-db.tar.xz");
    if !snapshot.is_file() {
        steps.run("advisories", &mut workshop.cargo(&["deny", "check", "advisories"]))?;
        return Ok(());
    }
    let mut offline = workshop.cargo(&["deny", "--offline", "--target", LINUX, "--config"]);
    steps.step("advisory snapshot", |_| {
        offline.arg(unpack(workshop, &snapshot)?).args(["check", "advisories"]);
        Ok(true)
    })?;
    steps.run("advisories", &mut offline)?;
    Ok(())
}

/// Offline only what was built here can be looked at.
const LINUX: &str = "x86_64-unknown-linux-gnu";

/// Makes of the snapshot the repository cargo-deny wants, and a configuration that names it.
fn unpack(workshop: &Workshop, snapshot: &Path) -> Result<std::path::PathBuf> {
    let folder = workshop.state("advisories");
    let database = folder.join(ADVISORIES);
    if !database.is_dir() {
        let draft = folder.join(format!("draft-{}", std::process::id()));
        fs::create_dir_all(&draft)?;
        must(Command::new("tar").arg("-xJf").arg(snapshot).arg("-C").arg(&draft))?;
        must(git(&draft).args(["init", "--quiet"]))?;
        must(git(&draft).args(["add", "--all"]))?;
        must(git(&draft).args(["commit", "--quiet", "--message", "snapshot"]))?;
        fs::rename(&draft, &database)?;
    }
    let rules = fs::read_to_string(workshop.root.join("deny.toml"))?;
    let place = format!("[advisories]\ndb-path = {:?}", folder.display().to_string());
    let config = folder.join("deny.toml");
    fs::write(&config, rules.replacen("[advisories]", &place, 1))?;
    Ok(config)
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args([
        "-c",
        "user.name=xtask",
        "-c",
        "user.email=xtask@localhost",
    ]);
    command
}

fn must(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?}: {status}") }
}

fn check_ourselves(workshop: &Workshop) -> Result<bool> {
    let rules = Rules::read(&fs::read_to_string(workshop.root.join("deny.toml"))?)?;
    let arguments = ["tree", "--workspace", "--prefix", "none", "--format", "{p}|{l}"];
    let output = workshop.cargo(&arguments).output().context("cannot start `cargo`")?;
    if !output.status.success() {
        bail!("`cargo tree` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let faults = rules.faults(&String::from_utf8_lossy(&output.stdout));
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.is_empty())
}

/// The part of `deny.toml` we understand.
struct Rules {
    licenses: Vec<String>,
    banned: Vec<(String, String)>,
}

impl Rules {
    fn read(text: &str) -> Result<Self> {
        let rules: Table = text.parse().context("deny.toml")?;
        let list = |table: &str, key: &str| -> Vec<Value> {
            let found = rules.get(table).and_then(|it| it.get(key)).and_then(Value::as_array);
            found.cloned().unwrap_or_default()
        };
        let text = |value: &Value, key: &str| {
            value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let licenses = list("licenses", "allow");
        let banned = list("bans", "deny");
        if licenses.is_empty() || banned.is_empty() {
            bail!("deny.toml allows no licence or bans no crate: it is not as we know it");
        }
        Ok(Self {
            licenses: licenses.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            banned: banned.iter().map(|it| (text(it, "crate"), text(it, "reason"))).collect(),
        })
    }

    /// What is wrong in the lines `name vX.Y.Z (source)|licence` of `cargo tree`.
    fn faults(&self, tree: &str) -> BTreeSet<String> {
        tree.lines().filter_map(|line| self.fault(line.trim_end_matches(" (*)"))).collect()
    }

    fn fault(&self, line: &str) -> Option<String> {
        let (package, license) = line.split_once('|')?;
        let name = package.split(' ').next()?;
        if let Some((_, reason)) = self.banned.iter().find(|(banned, _)| banned == name) {
            return Some(format!(
                "{package}: banned: {reason} (`cargo tree -i {name}` says by whom)"
            ));
        }
        let source = package.split_once(" (").map_or("", |(_, source)| source);
        if source.contains("://") || source.starts_with("registry") {
            return Some(format!("{package}: not from crates.io"));
        }
        let ours = source.starts_with('/');
        if !ours && !licenses::allows(license, &self.licenses) {
            return Some(format!("{package}: the licence `{license}` is not in deny.toml"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(line: &str) -> Vec<String> {
        let rules = Rules::read(include_str!("../../deny.toml")).unwrap();
        rules.faults(line).into_iter().collect()
    }

    #[test]
    fn a_usual_tree_is_fine() {
        let tree = "misy-core v0.1.0 (/tree/crates/core)|Apache-2.0\n\
                    serde_derive v1.0.0 (proc-macro)|MIT OR Apache-2.0 (*)\n\
                    unicode-ident v1.0.0|(MIT OR Apache-2.0) AND Unicode-3.0\n";
        assert_eq!(faults(tree), [""; 0]);
    }

    #[test]
    fn a_second_cryptography_provider_is_refused() {
        assert!(faults("ring v0.17.0|Apache-2.0 AND ISC")[0].contains("banned"));
    }

    #[test]
    fn a_crate_from_git_is_refused() {
        let fault = &faults("x v1.0.0 (https://github.com/a/x#0123)|MIT")[0];
        assert!(fault.contains("not from crates.io"));
    }

    #[test]
    fn a_licence_that_binds_our_users_is_refused() {
        assert!(faults("x v1.0.0|AGPL-3.0")[0].contains("AGPL-3.0"));
        assert!(faults("x v1.0.0|")[0].contains("licence"));
    }
}
