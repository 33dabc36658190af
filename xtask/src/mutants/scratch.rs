//! Room `xtask`: a copy of the tree in which faults are put, so that the tree itself never holds
//! one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::catalogue::Edit;

/// The copy.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Its root.
    pub(crate) root: PathBuf,
}

/// Files as they were, put back when dropped.
#[derive(Debug)]
pub(crate) struct Applied(Vec<(PathBuf, String)>);

impl Scratch {
    /// Makes the copy like the tree as it stands, with what is not committed. Files that are alike
    /// are not touched, so that what was built of them stays good.
    pub(crate) fn like(tree: &Path, root: PathBuf) -> Result<Self> {
        let files = files(tree)?;
        let mut written = Vec::new();
        for file in &files {
            let (from, to) = (tree.join(file), root.join(file));
            let wanted = fs::read(&from).with_context(|| format!("cannot read {file}"))?;
            if fs::read(&to).is_ok_and(|found| found == wanted) {
                continue;
            }
            fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
            fs::write(&to, wanted)?;
            written.push(file);
        }
        written.into_iter().try_for_each(|file| renew(&root, file))?;
        remove_others(&root, &root, &files)?;
        Ok(Self { root })
    }

    /// Puts a fault in.
    pub(crate) fn apply(&self, edits: &[Edit]) -> Result<Applied> {
        let mut applied = Applied(Vec::new());
        for edit in edits {
            let path = self.root.join(&edit.file);
            let text = fs::read_to_string(&path)?;
            if text.matches(&edit.old).count() != 1 {
                bail!("{}: the text to replace does not stand there once", edit.file);
            }
            fs::write(&path, text.replacen(&edit.old, &edit.new, 1))?;
            renew(&self.root, &edit.file)?;
            applied.0.push((path, text));
        }
        Ok(applied)
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        while let Some((path, text)) = self.0.pop() {
            if let Err(error) = fs::write(&path, text) {
                eprintln!("xtask: {} still holds a fault: {error}", path.display());
            }
        }
    }
}

/// Migrations are read by a macro that Cargo does not know to watch, so the file that calls it is
/// made young.
fn renew(root: &Path, file: &str) -> Result<()> {
    if !file.starts_with("crates/store/migrations/") {
        return Ok(());
    }
    let reader = root.join("crates/store/src/migrate.rs");
    let text = fs::read(&reader)?;
    Ok(fs::write(reader, text)?)
}

/// What belongs to the tree: known to Git, or new and not ignored.
fn files(tree: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.current_dir(tree).output().context("cannot start `git`")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let names = text.split('\0').filter(|name| !name.is_empty());
    Ok(names.filter(|name| tree.join(name).is_file()).map(str::to_owned).collect())
}

fn remove_others(root: &Path, folder: &Path, files: &[String]) -> Result<()> {
    let known: BTreeSet<PathBuf> = files.iter().map(|file| root.join(file)).collect();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, files)?;
        } else if !known.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
