//! Room `identity`: the table of `docs/security/asvs.md`, held against the standard and the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

const CHAPTERS: [&str; 5] = ["V6", "V7", "V8", "V9", "V10"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What stands beside each requirement.
fn table() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("docs/security/asvs.md")).expect("the table");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| V"));
    let mut table = BTreeMap::new();
    for row in rows {
        let (id, proof) = row.split_once('|').expect("two columns");
        let id = format!("V{}", id.trim());
        let proof = proof.trim().trim_end_matches('|').trim().to_owned();
        assert!(table.insert(id.clone(), proof).is_none(), "{id} stands there twice");
    }
    table
}

/// The names between backticks.
fn names(proof: &str) -> Vec<&str> {
    proof.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            sources(&path, into);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let heads = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            into.extend(heads.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_test_that_the_table_names_exists_and_every_other_row_says_why() {
    let mut known = BTreeSet::new();
    sources(&root().join("crates"), &mut known);
    sources(&root().join("xtask"), &mut known);
    for (id, proof) in table() {
        let names = names(&proof);
        for name in &names {
            assert!(known.contains(*name), "{id}: there is no test `{name}`");
        }
        assert!(!names.is_empty() || proof.len() > 30, "{id} has neither test nor reason");
    }
}

#[test]
fn no_requirement_of_the_chapters_is_missing_and_none_is_invented() {
    let beside = "../shared/data";
    let corpora = option_env!("MISYBOT_CORPORA").map_or_else(|| root().join(beside), PathBuf::from);
    let file = corpora.join("auth/owasp-asvs/asvs-5.0.0.flat.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("SKIPPED: the standard is not on this machine (MISYBOT_CORPORA)");
        return;
    };
    let standard: Value = serde_json::from_str(&text).expect("JSON");
    let all = standard["requirements"].as_array().expect("requirements");
    let wanted = all.iter().filter(|one| CHAPTERS.iter().any(|it| one["chapter_id"] == *it));
    let wanted: BTreeSet<String> =
        wanted.filter_map(|one| one["req_id"].as_str().map(str::to_owned)).collect();
    let listed: BTreeSet<String> = table().into_keys().collect();
    assert_eq!(listed, wanted);
    assert_eq!(wanted.len(), 122);
}
