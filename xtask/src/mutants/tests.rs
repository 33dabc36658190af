//! Room `xtask`: the list of faults is in order, and a trial is told for what it was.

use std::fs;
use std::time::Duration;

use super::catalogue::{self, Edit, Mutant};
use super::scratch::Scratch;
use super::verdict::{Judged, Verdict, failed_tests, score, table, tests_run};
use super::*;

fn all() -> Vec<Mutant> {
    catalogue::read(&Workshop::find().unwrap().root).unwrap()
}

#[test]
fn every_fault_still_finds_its_text_exactly_once() {
    let root = Workshop::find().unwrap().root;
    assert_eq!(catalogue::faults(&root, &all()), Vec::<String>::new());
}

#[test]
fn there_are_enough_faults_of_every_kind_that_has_a_home() {
    let all = all();
    assert!(all.len() >= 40, "{}", all.len());
    for kind in ["sql", "code", "jobs", "logs", "web", "keys"] {
        assert!(all.iter().any(|mutant| mutant.kind == kind), "{kind}");
    }
}

#[test]
fn a_fault_that_went_stale_is_told() {
    let root = Workshop::find().unwrap().root;
    let mut one = all().into_iter().find(|mutant| !mutant.edit.is_empty()).unwrap();
    one.edit[0].old = "nobody has written this".to_owned();
    let faults = catalogue::faults(&root, &[one.clone(), one]);
    assert!(faults.iter().any(|fault| fault.contains("stale: its text stands 0 times")));
    assert!(faults.iter().any(|fault| fault.ends_with("stands twice")));
}

#[test]
fn a_fault_stays_in_the_copy_and_only_as_long_as_it_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, copy) = (folder.path().join("tree"), folder.path().join("copy"));
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("a.rs"), "let wall = true;\n").unwrap();
    let git = std::process::Command::new("git").args(["init", "-q"]).current_dir(&tree).status();
    assert!(git.unwrap().success());
    fs::create_dir_all(&copy).unwrap();
    fs::write(copy.join("gone.rs"), "").unwrap();
    let scratch = Scratch::like(&tree, copy.clone()).unwrap();
    assert!(!copy.join("gone.rs").exists());
    let edit =
        |old: &str| Edit { file: "a.rs".to_owned(), old: old.to_owned(), new: "false".to_owned() };
    let applied = scratch.apply(&[edit("true")]).unwrap();
    assert_eq!(fs::read_to_string(copy.join("a.rs")).unwrap(), "let wall = false;\n");
    assert_eq!(fs::read_to_string(tree.join("a.rs")).unwrap(), "let wall = true;\n");
    drop(applied);
    assert_eq!(fs::read_to_string(copy.join("a.rs")).unwrap(), "let wall = true;\n");
    assert!(scratch.apply(&[edit("nothing")]).is_err());
}

#[test]
fn the_score_counts_what_was_noticed_and_nothing_else() {
    let mutants = all();
    let verdicts = [
        Verdict::Caught { by: vec!["it::notices".to_owned()] },
        Verdict::Refused,
        Verdict::Hung,
        Verdict::Survived,
        Verdict::Broken,
        Verdict::Compiles,
    ];
    let judged: Vec<Judged> = verdicts
        .into_iter()
        .map(|verdict| Judged::new(&mutants[0], verdict, Duration::ZERO))
        .collect();
    assert_eq!(score(&judged), "3/6");
    let table = table(&judged);
    assert!(table.contains("it::notices") && table.contains("SURVIVED"), "{table}");
}

#[test]
fn libtest_is_read_right() {
    let text = "\nrunning 2 tests\ntest a::b ... FAILED\ntest a::c ... ok\nrunning 1 test\n";
    assert_eq!(failed_tests(text), ["a::b"]);
    assert_eq!(tests_run(text), 3);
}

#[test]
fn the_command_line_chooses() {
    let line = |text: &str| {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Wish::read(&words)
    };
    let wish = line("--only a,b --kind sql").unwrap();
    assert_eq!((wish.only.len(), wish.kinds.as_slice()), (2, &["sql".to_owned()][..]));
    assert!(line("--list").unwrap().list);
    assert!(line("--only").is_err() && line("--all").is_err());
    let chosen = all().into_iter().filter(|mutant| Wish::default().wants(mutant)).count();
    assert_eq!(chosen, all().len());
}
