//! Room `xtask`: what each kind of file inside a vertical may import.

use super::Violation;
use super::layout::{KINDS, VERTICALS};
use super::source::{Path, paths};
use super::tree::Tree;

struct Walls {
    kind: &'static str,
    crates: &'static [&'static str],
    siblings: &'static [&'static str],
    advice: &'static str,
}

const DATABASE: [&str; 4] = ["tokio_postgres", "postgres_types", "deadpool", "deadpool_postgres"];

const WALLS: [Walls; 5] = [
    Walls {
        kind: "model",
        crates: &["misy_store", "misy_web", "misy_jobs", "axum", "tokio", "reqwest"],
        siblings: &["store", "service", "http", "jobs"],
        advice: "rules are pure and synchronous: take the value as an argument",
    },
    Walls {
        kind: "store",
        crates: &["axum", "misy_web", "misy_jobs"],
        siblings: &["service", "http", "jobs"],
        advice: "rows and SQL only: return model types and let service decide",
    },
    Walls {
        kind: "service",
        crates: &["axum", "reqwest"],
        siblings: &["http"],
        advice: "the order of things only: SQL belongs to store, HTTP to http or egress",
    },
    Walls {
        kind: "http",
        crates: &["misy_store"],
        siblings: &["store"],
        advice: "validation and status only: call service",
    },
    Walls {
        kind: "jobs",
        crates: &["misy_store", "axum"],
        siblings: &["store", "http"],
        advice: "a job struct only: call service",
    },
];

/// Rule `imports`: `http, jobs -> service -> {model, store}`, `store -> model`, and the crates each
/// of them may name. A service also names the jobs it enqueues.
pub(super) fn each_kind_of_file_keeps_to_its_imports(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, place) in tree.places().filter(|(file, _)| VERTICALS.contains(&file.room())) {
        let Some(walls) = walls_of(place) else { continue };
        for path in paths(&file.source.tokens()) {
            if let Some(what) = walls.refuse(&path) {
                let advice = format!("{} may not use `{what}`: {}", walls.kind, walls.advice);
                found.push(file.at(path.at, "imports", advice));
            }
        }
    }
    found
}

fn walls_of(place: &str) -> Option<&'static Walls> {
    let kind = place.trim_end_matches(".rs").split('/').nth(1)?;
    let kind = KINDS.iter().find(|known| **known == kind)?;
    WALLS.iter().find(|walls| walls.kind == *kind)
}

impl Walls {
    fn refuse(&self, path: &Path<'_>) -> Option<String> {
        let first = path.names[0];
        if self.kind == "model" && is_lower_error(path) {
            return None;
        }
        let database = self.kind != "store" && DATABASE.contains(&first);
        if database || self.crates.contains(&first) {
            return Some(first.to_owned());
        }
        let reached = self.siblings.iter().find(|sibling| path.reaches(sibling));
        reached.map(|_| path.names.join("::"))
    }
}

/// The error of a lower room is a word, not a tool: a resource's `Error` may carry it as its source.
fn is_lower_error(path: &Path<'_>) -> bool {
    let lower = matches!(path.names[0], "misy_store" | "misy_jobs");
    lower && path.names.last().is_some_and(|name| name.ends_with("Error"))
}
