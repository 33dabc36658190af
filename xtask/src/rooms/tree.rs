//! Room `xtask`: the files the checks read, from the disk or from a test's table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Violation;
use super::source::{Source, line_of};

/// Cargo manifests and Rust files, by path relative to the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: Vec<RustFile>,
    manifests: BTreeMap<String, String>,
}

/// A Rust file with its place.
#[derive(Debug)]
pub(crate) struct RustFile {
    /// Path relative to the root, with `/`.
    pub(crate) path: String,
    /// The file as it is.
    pub(crate) text: String,
    /// Its masked readings.
    pub(crate) source: Source,
    /// Whether it is compiled for tests only.
    pub(crate) test: bool,
}

impl RustFile {
    /// The room: `store` of `crates/store/src/db.rs`.
    pub(crate) fn room(&self) -> &str {
        room_of(&self.path)
    }

    /// The path below `src/`, if it is there and not test code: what the walls are for.
    pub(crate) fn place(&self) -> Option<&str> {
        let (_, below) = self.path.strip_prefix("crates/")?.split_once("/src/")?;
        (!self.test).then_some(below)
    }

    /// A violation at a byte of this file.
    pub(crate) fn at(&self, at: usize, rule: &'static str, advice: String) -> Violation {
        Violation { path: self.path.clone(), line: line_of(&self.text, at), rule, advice }
    }
}

/// The room a path of the tree lies in; empty outside `crates/`.
pub(crate) fn room_of(path: &str) -> &str {
    path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or("")
}

impl Tree {
    /// Reads `Cargo.toml`, `crates/` and `xtask/` below the root.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for top in ["Cargo.toml", "crates", "xtask"] {
            if root.join(top).exists() {
                gather(root, top, &mut files)?;
            }
        }
        Ok(Self::from_files(files))
    }

    /// A tree of the given files, each with its path.
    pub(crate) fn from_files(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            if path.ends_with("Cargo.toml") {
                tree.manifests.insert(path, text);
            } else {
                let (source, test) = (Source::new(&text), in_test_place(&path));
                tree.files.push(RustFile { path, text, source, test });
            }
        }
        tree.mark_declared_test_files();
        tree
    }

    /// Every Rust file.
    pub(crate) fn rust_files(&self) -> &[RustFile] {
        &self.files
    }

    /// Every Rust file of `crates/*/src` outside tests, with its path below `src/`.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&RustFile, &str)> {
        self.files.iter().filter_map(|file| Some((file, file.place()?)))
    }

    /// Every manifest but the root's, with its text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        let below = |path: &&str| *path != "Cargo.toml";
        self.manifests
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| below(path))
    }

    /// Whether the tree has this file.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    fn mark_declared_test_files(&mut self) {
        let declared: BTreeSet<String> = self
            .files
            .iter()
            .flat_map(|file| {
                let folder = module_folder(&file.path);
                let modules = file.source.test_modules.iter();
                modules.map(move |module| format!("{folder}/{module}"))
            })
            .collect();
        for file in &mut self.files {
            let stem = file.path.trim_end_matches(".rs");
            file.test |= declared
                .iter()
                .any(|test| stem.strip_prefix(test.as_str()).is_some_and(is_itself_or_below));
        }
    }
}

fn is_itself_or_below(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

/// The folder where a file's modules lie: its own, unless it is the root of its crate.
fn module_folder(path: &str) -> String {
    let stem = path.trim_end_matches(".rs");
    match stem.rsplit_once('/') {
        Some((folder, "lib" | "main")) => folder.to_owned(),
        _ => stem.to_owned(),
    }
}

fn in_test_place(path: &str) -> bool {
    let mut parts = path.split('/').skip(2);
    parts.any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"))
}

fn gather(root: &Path, relative: &str, files: &mut Vec<(String, String)>) -> Result<()> {
    let path = root.join(relative);
    if path.is_dir() {
        for entry in fs::read_dir(&path).with_context(|| format!("cannot list {relative}"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                gather(root, &format!("{relative}/{name}"), files)?;
            }
        }
    } else if is_rust(relative) || relative.ends_with("Cargo.toml") {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {relative}"))?;
        files.push((relative.to_owned(), text));
    }
    Ok(())
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}
