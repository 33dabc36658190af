//! Room `xtask`: the program from outside: help, exit codes, and its verdict on small trees.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn xtask(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\n").unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn help_lists_every_verb_and_explains_each() {
    let folder = tree(&[]);
    let overview = xtask(folder.path(), &["--help"]);
    assert_eq!(code(&overview), 0);
    let overview = String::from_utf8(overview.stdout).unwrap();
    for verb in
        ["up", "test", "check", "fmt", "lint", "rooms", "golden", "mutate-isolation", "bench", "db"]
    {
        assert!(overview.contains(&format!("\n  {verb} ")), "{verb}");
        let help = xtask(folder.path(), &[verb, "--help"]);
        assert_eq!(code(&help), 0);
        assert!(
            String::from_utf8(help.stdout).unwrap().starts_with(&format!("cargo xtask {verb}"))
        );
    }
}

#[test]
fn an_unknown_verb_or_argument_is_a_usage_error() {
    let folder = tree(&[]);
    for line in
        [&[][..], &["fly"], &["help", "fly"], &["rooms", "now"], &["db", "drop"], &["bench"]]
    {
        let output = xtask(folder.path(), line);
        assert_eq!(code(&output), 2, "{line:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("Usage: cargo xtask"));
    }
}

#[test]
fn outside_a_workspace_nothing_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let output = xtask(folder.path(), &["rooms"]);
    assert_eq!(code(&output), 1);
    assert!(String::from_utf8(output.stderr).unwrap().contains("no workspace"));
}

#[test]
fn rooms_passes_a_clean_tree_also_from_below_its_root() {
    let folder = tree(&[("crates/core/src/lib.rs", "//! Room `core`.\n")]);
    assert_eq!(code(&xtask(&folder.path().join("crates/core"), &["rooms"])), 0);
}

#[test]
fn rooms_prints_each_violation_on_a_line_and_fails() {
    let folder = tree(&[
        ("crates/core/src/lib.rs", "use std::fs;\n"),
        ("crates/core/Cargo.toml", "[dependencies]\nmisy-web.workspace = true\n"),
        ("target/debug/mod.rs", ""),
    ]);
    let output = xtask(folder.path(), &["rooms"]);
    assert_eq!(code(&output), 1);
    let lines = String::from_utf8(output.stdout).unwrap();
    let places: Vec<&str> = lines.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        places,
        ["crates/core/Cargo.toml:2", "crates/core/src/lib.rs:1", "crates/core/src/lib.rs:1"]
    );
}

#[test]
fn no_database_runs_where_none_was_started() {
    let folder = tree(&[]);
    let programs = folder.path().join("target/debug");
    fs::create_dir_all(&programs).unwrap();
    let program = programs.join("xtask");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &program).unwrap();
    let url =
        Command::new(&program).args(["db", "url"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(code(&url), 1);
    let stop =
        Command::new(&program).args(["db", "stop"]).current_dir(folder.path()).output().unwrap();
    assert_eq!((code(&stop), stop.stdout.as_slice()), (0, b"not running\n".as_slice()));
}
