//! Room `policy`: the reference of permissions is what the program grants, and the guide's examples
//! are policies that it takes.

use std::fmt::Write as _;
use std::path::PathBuf;

use misy_core::{Permission, Role};
use misy_policy::vocabulary::SENSITIVE;
use misy_policy::{Vocabulary, check};

const SOURCE: &str = include_str!("../../../core/src/permission.rs");

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// The sentence that stands above a permission in its source.
fn says(slug: &str) -> String {
    let wanted = format!("= \"{slug}\",");
    let lines: Vec<&str> = SOURCE.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.contains(&wanted)).expect("it is defined there");
    let above = lines[..at].iter().rev().map_while(|line| line.strip_prefix("/// "));
    let mut said: Vec<&str> = above.collect();
    said.reverse();
    said.join(" ")
}

fn reference() -> String {
    let roles: Vec<Role> = Role::OF_TENANT.into_iter().chain(Role::OF_PLATFORM).collect();
    let mut text = String::from(
        "# Permissions and roles\n\nGenerated from `crates/core/src/permission.rs`. A role has what \
         is marked; the roles of tenants inherit from left to right, those of the platform stand \
         apart. A tenant makes roles of its own from these at `/v1/roles`. What is marked \
         **sensitive** changes who may do what: policies of the platform ask more for it, and \
         every decision about it is written down.\n\n| permission | what |",
    );
    for role in &roles {
        let _ = write!(text, " {} |", role.slug());
    }
    let _ = writeln!(text, "\n|---|---|{}", ":-:|".repeat(roles.len()));
    for permission in Permission::ALL {
        let sensitive = if SENSITIVE.contains(permission) { " **Sensitive.**" } else { "" };
        let _ = write!(text, "| `{permission}` | {}{sensitive} |", says(permission.slug()));
        for role in &roles {
            text.push_str(if role.grants().has(*permission) { " x |" } else { " |" });
        }
        text.push('\n');
    }
    text
}

#[test]
fn golden_permissions_are_what_roles_grant() {
    let (file, wanted) = (docs("permissions.md"), reference());
    #[expect(clippy::disallowed_methods, reason = "how golden files are asked to be written anew")]
    let write = std::env::var("MISYBOT_GOLDEN").is_ok_and(|wish| wish == "write");
    if write {
        std::fs::write(&file, &wanted).expect("written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "docs/permissions.md is not what the program grants");
}

#[test]
fn every_example_of_the_guide_is_a_policy() {
    let guide = std::fs::read_to_string(docs("policies.md")).expect("the guide");
    let schema = guide.split("```cedarschema\n").nth(1).and_then(|rest| rest.split("```").next());
    let words = Vocabulary::new(Some(schema.expect("declarations"))).expect("a schema");
    let examples: Vec<&str> =
        guide.split("```cedar\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 6, "{}", examples.len());
    for example in examples {
        let checked = check(example, &words);
        assert!(checked.as_ref().is_ok_and(|it| it.warnings.is_empty()), "{example}\n{checked:?}");
    }
}
