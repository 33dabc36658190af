//! Room `xtask`: golden files, written anew by the tests that check them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::steps::Steps;
use crate::suite::{Selection, run_tests};
use crate::verbs::check_flag;
use crate::workshop::Workshop;

/// `cargo xtask golden`.
pub(crate) fn golden(workshop: &Workshop, arguments: &[String]) -> Result<()> {
    let check = check_flag("golden", arguments)?;
    let mut steps = Steps::begin()?;
    if check {
        check_golden(workshop, &mut steps)?;
    } else {
        let all =
            Selection::new(&[]).with("MISYBOT_GOLDEN", "write").with("INSTA_UPDATE", "always");
        run_tests(workshop, &mut steps, &all)?;
        report_pending(workshop);
        eprintln!("== look at `git diff`: what you commit is what you say is right");
    }
    steps.finish()
}

/// Runs the tests named after golden files, which may write nothing, and refuses leftovers.
pub(crate) fn check_golden(workshop: &Workshop, steps: &mut Steps) -> Result<()> {
    run_tests(workshop, steps, &Selection::named("golden").with("INSTA_UPDATE", "no"))?;
    steps.step("no pending snapshots", |_| Ok(report_pending(workshop)))?;
    Ok(())
}

/// Names the snapshots nobody has accepted; true if there are none.
fn report_pending(workshop: &Workshop) -> bool {
    let mut pending = Vec::new();
    gather_pending(&workshop.root.join("crates"), &mut pending);
    for path in &pending {
        eprintln!("{}: accept with `cargo insta accept` or delete it", path.display());
    }
    pending.is_empty()
}

fn gather_pending(folder: &Path, pending: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            gather_pending(&path, pending);
        } else if name.ends_with(".snap.new") || name.ends_with(".pending-snap") {
            pending.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_snapshots_nobody_accepted_are_pending() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for name in ["a/x.snap", "a/y.snap.new", ".z.rs.pending-snap"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut pending = Vec::new();
        gather_pending(folder.path(), &mut pending);
        assert_eq!(pending.len(), 2);
    }
}
