//! Room `xtask`: words that may not be said in a room: the impure in pure rooms, waiting in adapters,
//! the names of providers outside theirs.

use super::Violation;
use super::source::{Path, paths};
use super::tree::Tree;

struct Ban {
    room: &'static str,
    prefixes: &'static [&'static [&'static str]],
    advice: &'static str,
}

const BANS: [Ban; 2] = [
    Ban {
        room: "core",
        prefixes: &[
            &["tokio"],
            &["futures"],
            &["futures_util"],
            &["std", "fs"],
            &["std", "net"],
            &["std", "env"],
            &["std", "process"],
            &["std", "thread"],
            &["std", "io"],
        ],
        advice: "core is pure: take the value as an argument, or a trait that server implements",
    },
    Ban {
        room: "adapters",
        prefixes: &[
            &["tokio", "time"],
            &["tokio", "spawn"],
            &["tokio", "task"],
            &["std", "thread"],
            &["misy_store"],
            &["misy_jobs"],
            &["misy_web"],
            &["reqwest"],
            &["hyper"],
        ],
        advice: "an adapter never waits, loops, stores or owns a client: egress and jobs do",
    },
];

/// Rule `pure`: `core` touches nothing outside itself, an adapter nothing but egress.
pub(super) fn pure_rooms_import_nothing_impure(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, _) in tree.places() {
        let Some(ban) = BANS.iter().find(|ban| ban.room == file.room()) else { continue };
        for path in paths(&file.source.tokens()) {
            if ban.prefixes.iter().any(|prefix| begins_with(&path, prefix)) {
                let advice = format!("`{}`: {}", path.names.join("::"), ban.advice);
                found.push(file.at(path.at, "pure", advice));
            }
        }
    }
    found
}

fn begins_with(path: &Path<'_>, prefix: &[&str]) -> bool {
    path.names.starts_with(prefix)
}

/// Rooms that treat every channel alike.
const PROVIDER_BLIND: [&str; 9] = [
    "channel",
    "conversation",
    "egress",
    "store",
    "jobs",
    "web",
    "identity",
    "tenancy",
    "integration",
];

const PROVIDERS: [&str; 4] = ["whatsapp", "instagram", "messenger", "graph.facebook"];

/// Rule `providers`: code and its strings name no provider; comments and tests may.
pub(super) fn providers_are_named_by_adapters_only(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, _) in tree.places().filter(|(file, _)| PROVIDER_BLIND.contains(&file.room())) {
        let words = file.source.words.to_ascii_lowercase();
        for provider in PROVIDERS {
            for (at, _) in words.match_indices(provider) {
                let advice = format!(
                    "`{provider}` belongs to adapters/: say it as a Capability or as data of the \
                     channel account"
                );
                found.push(file.at(at, "providers", advice));
            }
        }
    }
    found
}
