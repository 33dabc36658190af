//! Room `xtask`: where a file may lie and how it begins.

use super::Violation;
use super::tree::{RustFile, Tree};

/// The rooms that are built of resources.
pub(super) const VERTICALS: [&str; 4] = ["identity", "tenancy", "conversation", "integration"];

/// The kinds of file a resource is made of.
pub(super) const KINDS: [&str; 5] = ["model", "store", "service", "http", "jobs"];

const SHAPELESS: [&str; 5] = ["utils", "util", "helpers", "common", "manager"];

/// Rules `head`, `no-mod-rs`, `names`, `one-test-binary`.
pub(super) fn files_have_a_place_and_a_head(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.rust_files() {
        let parts: Vec<&str> = file.path.split('/').collect();
        let name = parts[parts.len() - 1].trim_end_matches(".rs");
        if !file.text.trim_start().starts_with("//!") {
            let advice = "open the file with `//! Room ...: what it is for`".to_owned();
            found.push(file.at(0, "head", advice));
        }
        if name == "mod" {
            let advice = "no mod.rs: name the file after its module and put it beside the folder";
            found.push(file.at(0, "no-mod-rs", advice.to_owned()));
        }
        if SHAPELESS.contains(&name) {
            let advice = format!("`{name}` says nothing: name the module after what it holds");
            found.push(file.at(0, "names", advice));
        }
        if is_second_test_binary(&parts) {
            let advice = "one test binary a crate: make it a module of tests/it/main.rs";
            found.push(file.at(0, "one-test-binary", advice.to_owned()));
        }
    }
    found
}

fn is_second_test_binary(parts: &[&str]) -> bool {
    match parts {
        ["crates", _, "tests", _] | ["xtask", "tests", _] => true,
        ["crates", _, "tests", folder, "main.rs"] | ["xtask", "tests", folder, "main.rs"] => {
            *folder != "it"
        }
        _ => false,
    }
}

/// Rules `kinds`, `facade`: a vertical is `lib.rs` (with `config.rs` and
/// `deps.rs`, if it grew long) and resources; a resource is
/// `x.rs`, which only declares and re-exports, and the folder `x/` with files of the five kinds.
pub(super) fn verticals_hold_resources(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, place) in tree.places().filter(|(file, _)| VERTICALS.contains(&file.room())) {
        let parts: Vec<&str> = place.trim_end_matches(".rs").split('/').collect();
        match parts.as_slice() {
            ["lib" | "main" | "config" | "deps"] | [] => {}
            [resource] => found.extend(facade(tree, file, resource)),
            [_, kind, ..] if KINDS.contains(kind) => {}
            [_, kind, ..] => found.push(file.at(0, "kinds", sixth_kind(kind))),
        }
    }
    found
}

fn facade(tree: &Tree, file: &RustFile, resource: &str) -> Option<Violation> {
    let folder = file.path.trim_end_matches(".rs");
    if !KINDS.iter().any(|kind| tree.has(&format!("{folder}/{kind}.rs"))) {
        let advice = format!(
            "`{resource}.rs` is no resource: put its code into {resource}/{{model,store,service,\
             http,jobs}}.rs, or into the resource it belongs to"
        );
        return Some(file.at(0, "kinds", advice));
    }
    let tokens = file.source.tokens();
    let item =
        tokens.iter().find(|token| matches!(token.text, "fn" | "struct" | "enum" | "impl"))?;
    let advice = format!(
        "{resource}.rs only declares and re-exports: move this into one of {resource}/'s files"
    );
    Some(file.at(item.at, "facade", advice))
}

fn sixth_kind(kind: &str) -> String {
    format!(
        "`{kind}` is a sixth kind of file: a resource has model, store, service, http, jobs; \
         what fits none of them is a second resource"
    )
}
