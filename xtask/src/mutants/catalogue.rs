//! Room `xtask`: the list of faults and what must be true of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Where the list lies.
const FOLDER: &str = "xtask/mutants";

/// What a fault reaches into.
pub(crate) const KINDS: [&str; 8] =
    ["sql", "code", "jobs", "logs", "web", "keys", "redis", "documents"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mutant: Vec<Mutant>,
}

/// One fault: a change of the tree's text, or statements run in the template database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutant {
    /// Unique, words with hyphens.
    pub(crate) name: String,
    /// One of [`KINDS`].
    pub(crate) kind: String,
    /// What could happen if nobody noticed.
    pub(crate) says: String,
    /// Package whose tests must notice.
    pub(crate) package: String,
    /// `it` for its integration tests, `lib` for its unit tests.
    pub(crate) target: String,
    /// Parts of the names of the tests that must notice; at least one must fail.
    pub(crate) tests: Vec<String>,
    /// Replacements in files of the tree.
    #[serde(default)]
    pub(crate) edit: Vec<Edit>,
    /// Statements run as superuser in the template of the test databases.
    pub(crate) sql: Option<String>,
    /// Statements that take back what reaches beyond that database, such as changes of roles.
    pub(crate) undo: Option<String>,
    /// The compiler itself must refuse it.
    #[serde(default)]
    pub(crate) must_not_compile: bool,
}

/// A text that stands exactly once in a file, and what takes its place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    pub(crate) file: String,
    pub(crate) old: String,
    pub(crate) new: String,
}

impl Mutant {
    /// Faults of the database first, then those of one package together: each build then changes
    /// as little as it can.
    pub(crate) fn place(&self) -> (bool, String, String, String) {
        let file = self.edit.first().map(|edit| edit.file.clone()).unwrap_or_default();
        (self.sql.is_none(), self.package.clone(), file, self.name.clone())
    }

    fn faults(&self, root: &Path) -> Vec<String> {
        let mut faults = Vec::new();
        if !KINDS.contains(&self.kind.as_str()) {
            faults.push(format!("`{}` is no kind", self.kind));
        }
        if self.says.is_empty() || self.tests.is_empty() {
            faults.push("must say what could happen and which tests notice".to_owned());
        }
        if self.sql.is_some() != self.edit.is_empty() {
            faults.push("is either statements or a change of files".to_owned());
        }
        if !matches!(self.target.as_str(), "it" | "lib") {
            faults.push("its target is `it` or `lib`".to_owned());
        }
        let folder = self.package.replacen("misy-", "crates/", 1);
        if !root.join(folder).join("Cargo.toml").is_file() {
            faults.push(format!("there is no package {}", self.package));
        }
        for edit in &self.edit {
            let count = fs::read_to_string(root.join(&edit.file))
                .map_or(0, |text| text.matches(&edit.old).count());
            if count != 1 {
                faults.push(format!("stale: its text stands {count} times in {}", edit.file));
            }
            if edit.old == edit.new {
                faults.push("changes nothing".to_owned());
            }
        }
        faults
    }
}

/// The whole list, file by file.
pub(crate) fn read(root: &Path) -> Result<Vec<Mutant>> {
    let folder = root.join(FOLDER);
    let entries = fs::read_dir(&folder).context("the list of faults is missing")?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)?;
        let file: File = toml::from_str(&text).with_context(|| path.display().to_string())?;
        all.extend(file.mutant);
    }
    Ok(all)
}

/// Everything that is wrong with the list as it stands against the tree; cheap, so the tests of
/// this program ask it on every run and a fault never goes stale unseen.
pub(crate) fn faults(root: &Path, all: &[Mutant]) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for mutant in all {
        if !names.insert(&mutant.name) {
            found.push(format!("{}: stands twice", mutant.name));
        }
        found.extend(mutant.faults(root).iter().map(|fault| format!("{}: {fault}", mutant.name)));
    }
    found
}
