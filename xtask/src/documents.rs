//! Room `xtask`: what the documents promise: files they link to, verbs they tell to type.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::verbs::VERBS;

/// Prints each broken promise of each Markdown file; true if there is none.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let mut files = Vec::new();
    gather(root, &mut files)?;
    let mut broken = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file)?;
        let folder = file.parent().unwrap_or(root);
        broken.extend(faults(&text, folder).map(|(line, fault)| {
            let name = file.strip_prefix(root).unwrap_or(file).display();
            format!("{name}:{line}: {fault}")
        }));
    }
    for fault in &broken {
        println!("{fault}");
    }
    Ok(broken.is_empty())
}

fn faults<'a>(text: &'a str, folder: &'a Path) -> impl Iterator<Item = (usize, String)> + 'a {
    text.lines().enumerate().flat_map(move |(index, line)| {
        let missing = links(line)
            .filter(|link| !folder.join(link).exists())
            .map(|link| format!("the link to `{link}` leads nowhere"));
        let unknown = verbs(line)
            .filter(|verb| !VERBS.iter().any(|known| known.name == *verb))
            .map(|verb| format!("there is no `cargo xtask {verb}`"));
        missing.chain(unknown).map(move |fault| (index + 1, fault)).collect::<Vec<_>>()
    })
}

/// Targets of `](...)` that are files, without their fragments.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|path| !path.is_empty() && !path.starts_with('/'))
}

/// Names after `cargo xtask`.
fn verbs(line: &str) -> impl Iterator<Item = &str> {
    line.split("cargo xtask ").skip(1).filter_map(|rest| {
        let in_name = |c: char| c.is_ascii_lowercase() || c == '-';
        let end = rest.find(|c: char| !in_name(c)).unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches('-');
        (!name.is_empty() && !name.starts_with('-')).then_some(name)
    })
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let name = name.to_string_lossy();
        if name.starts_with('.') || ["target", "node_modules", "testdata"].contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        faults(text, root).collect()
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_is_named_with_its_line() {
        let found = found("fine\n[a](Cargo.toml#lints) and [b](nowhere.md)");
        assert_eq!(found, [(2, "the link to `nowhere.md` leads nowhere".to_owned())]);
    }

    #[test]
    fn addresses_and_fragments_are_not_files() {
        assert_eq!(found("[a](https://x.y/z) [b](#here) [c](mailto:a@b.c)"), []);
    }

    #[test]
    fn a_verb_that_does_not_exist_is_named() {
        assert_eq!(found("`cargo xtask rooms`, `cargo xtask --help`"), []);
        assert_eq!(found("`cargo xtask mutate-isolation`"), []);
        assert_eq!(found("`cargo xtask fly`")[0].1, "there is no `cargo xtask fly`");
    }
}
