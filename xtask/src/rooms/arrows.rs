//! Room `xtask`: which crate may depend on which, read from the manifests.

use toml::{Table, Value};

use super::tree::{Tree, room_of};
use super::{Violation, source};

/// The arrows of ARCHITECTURE.md: a room and the rooms it may use.
const ARROWS: [(&str, &[&str]); 18] = [
    ("core", &[]),
    ("trace", &["core"]),
    ("store", &["core"]),
    ("jobs", &["trace", "store", "core"]),
    ("web", &["trace", "jobs", "store", "core"]),
    ("egress", &["trace", "core"]),
    ("channel", &["egress", "core"]),
    ("adapters", &["channel", "egress", "core"]),
    ("saml", &["core"]),
    ("policy", &["core"]),
    ("identity", &["saml", "policy", "web", "jobs", "store", "egress", "core"]),
    ("tenancy", &["web", "jobs", "store", "core"]),
    ("conversation", &["web", "jobs", "store", "channel", "core"]),
    ("integration", &["web", "jobs", "store", "egress", "core"]),
    ("sandbox", &["core"]),
    ("bench", BELOW_SERVER),
    ("server", ALL),
    ("testkit", &["web", "jobs", "store", "egress", "channel", "sandbox", "core"]),
];

const BELOW_SERVER: &[&str] = &[
    "core",
    "store",
    "jobs",
    "web",
    "egress",
    "channel",
    "adapters",
    "identity",
    "saml",
    "tenancy",
    "conversation",
    "integration",
    "policy",
    "sandbox",
];

const ALL: &[&str] = &[
    "core",
    "trace",
    "store",
    "jobs",
    "web",
    "egress",
    "channel",
    "adapters",
    "identity",
    "saml",
    "tenancy",
    "conversation",
    "integration",
    "policy",
    "sandbox",
    "bench",
];

/// What tests of any room may use beside its arrows: real providers' adapters stand in no test's way.
const FOR_TESTS: &[&str] = &["testkit", "sandbox", "adapters"];

/// Rule `arrows`: the manifests hold no dependency for which there is no arrow.
pub(super) fn crates_use_only_what_their_arrows_say(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.members() {
        let (room, arrows) = match room_of(path) {
            "" => ("xtask", Some([].as_slice())),
            room => (room, ARROWS.iter().find(|(name, _)| *name == room).map(|(_, to)| *to)),
        };
        let Some(arrows) = arrows else {
            found.push(violation(path, text, "[package]", "arrows", unknown_room(room)));
            continue;
        };
        for dependency in dependencies(text) {
            let Some(used) = dependency.package.strip_prefix("misy-") else { continue };
            let for_tests = dependency.dev && FOR_TESTS.contains(&used);
            if !arrows.contains(&used) && !for_tests {
                let advice = no_arrow(room, used, dependency.dev);
                found.push(violation(path, text, &dependency.name, "arrows", advice));
            }
        }
    }
    found
}

/// Rule `versions`: members say `x.workspace = true`; versions and paths stand in the root once.
pub(super) fn versions_stand_in_the_root(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.members() {
        for dependency in dependencies(text).into_iter().filter(|it| !it.inherited) {
            let name = &dependency.name;
            let advice = format!(
                "`{name}` names its own version or source: put it into [workspace.dependencies] \
                 of the root and write `{name}.workspace = true` here"
            );
            found.push(violation(path, text, name, "versions", advice));
        }
    }
    found
}

struct Dependency {
    name: String,
    package: String,
    dev: bool,
    inherited: bool,
}

fn dependencies(text: &str) -> Vec<Dependency> {
    let Ok(manifest) = text.parse::<Table>() else { return Vec::new() };
    let mut found = tables_of(&manifest);
    let targets = manifest.get("target").and_then(Value::as_table);
    for target in targets.into_iter().flat_map(Table::values).filter_map(Value::as_table) {
        found.extend(tables_of(target));
    }
    found
}

fn tables_of(table: &Table) -> Vec<Dependency> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut found = Vec::new();
    for kind in TABLES {
        let entries = table.get(kind).and_then(Value::as_table);
        for (name, value) in entries.into_iter().flatten() {
            let field = |key: &str| value.as_table().and_then(|it| it.get(key));
            let package = field("package").and_then(Value::as_str).unwrap_or(name).to_owned();
            let inherited = field("workspace").and_then(Value::as_bool) == Some(true);
            let dev = kind == "dev-dependencies";
            found.push(Dependency { name: name.clone(), package, dev, inherited });
        }
    }
    found
}

fn unknown_room(room: &str) -> String {
    format!(
        "the room `{room}` has no arrows: write an ADR with its arrows, its never and why a \
         module would not do, then add it to ARROWS in xtask/src/rooms/arrows.rs"
    )
}

fn no_arrow(room: &str, used: &str, dev: bool) -> String {
    let tests = if dev { ", also not in tests" } else { "" };
    match used {
        "testkit" => "testkit is for tests: move it to [dev-dependencies]".to_owned(),
        "server" | "bench" => format!("nobody sees `{used}`: move the word to a lower room"),
        _ => format!(
            "there is no arrow {room} -> {used}{tests}: put the word or trait into a room both \
             see, implement it above and tie it in server"
        ),
    }
}

fn violation(path: &str, text: &str, name: &str, rule: &'static str, advice: String) -> Violation {
    Violation { path: path.to_owned(), line: line_naming(text, name), rule, advice }
}

/// The line where a dependency's entry or table begins.
fn line_naming(text: &str, name: &str) -> usize {
    let begins = |line: &str| {
        let entry = line.trim_start().trim_start_matches(['"', '\'']);
        entry == name
            || entry.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', ' ', '=', '"']))
            || entry.ends_with(&format!("dependencies.{name}]"))
    };
    let at = text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line.trim_end()))
    });
    at.filter(|(_, line)| begins(line))
        .map(|(start, _)| source::line_of(text, start))
        .next()
        .unwrap_or(1)
}
