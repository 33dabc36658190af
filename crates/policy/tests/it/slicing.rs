//! Room `policy`: what the index leaves out would not have mattered.

use std::str::FromStr;

use cedar_policy::{Context, Entities, EntityUid, PolicySet, Request};
use misy_policy::index::Index;
use proptest::prelude::*;

const ENTITIES: &str = r#"[
  {"uid": {"type": "Action", "id": "read"}, "attrs": {},
   "parents": [{"type": "Action", "id": "look"}]},
  {"uid": {"type": "Action", "id": "list"}, "attrs": {},
   "parents": [{"type": "Action", "id": "look"}]},
  {"uid": {"type": "Action", "id": "look"}, "attrs": {},
   "parents": [{"type": "Action", "id": "all"}]},
  {"uid": {"type": "Action", "id": "write"}, "attrs": {},
   "parents": [{"type": "Action", "id": "all"}]},
  {"uid": {"type": "User", "id": "ana"}, "attrs": {"level": 3},
   "parents": [{"type": "Role", "id": "agent"}]},
  {"uid": {"type": "Folder", "id": "f"}, "attrs": {}, "parents": []},
  {"uid": {"type": "File", "id": "x"}, "attrs": {"owner": "ana"},
   "parents": [{"type": "Folder", "id": "f"}]}
]"#;

pub(crate) fn part(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

type Texts = &'static [&'static str];

/// Policies of these parts in every combination.
pub(crate) fn policy_of(
    principal: Texts,
    action: Texts,
    resource: Texts,
    condition: Texts,
) -> impl Strategy<Value = String> {
    let effect = part(&["permit", "forbid"]);
    (effect, part(principal), part(action), part(resource), part(condition)).prop_map(
        |(effect, principal, action, resource, condition)| {
            format!("{effect} ({principal}, {action}, {resource}) {condition};")
        },
    )
}

fn policy() -> impl Strategy<Value = String> {
    let principal = &[
        "principal",
        "principal == User::\"ana\"",
        "principal in Role::\"agent\"",
        "principal in Role::\"boss\"",
        "principal is User",
    ];
    let action = &[
        "action",
        "action == Action::\"read\"",
        "action == Action::\"write\"",
        "action == Action::\"look\"",
        "action in Action::\"look\"",
        "action in [Action::\"write\", Action::\"look\"]",
        "action in Action::\"all\"",
        "action in []",
    ];
    let resource = &[
        "resource",
        "resource == File::\"x\"",
        "resource == Folder::\"f\"",
        "resource in Folder::\"f\"",
        "resource is File",
        "resource is Folder",
        "resource is File in Folder::\"f\"",
    ];
    let condition = &[
        "",
        "when { principal.level > 2 }",
        "when { resource.owner == \"ana\" }",
        "unless { resource has owner }",
        "when { resource.missing }",
        "when { context.flag }",
    ];
    policy_of(principal, action, resource, condition)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sliced_decides_as_unsliced(
        policies in prop::collection::vec(policy(), 0..12),
        principal in part(&["User::\"ana\"", "User::\"bo\"", "Robot::\"r\""]),
        action in part(&["read", "list", "write", "look", "all", "unheard of"]),
        resource in part(&["File::\"x\"", "File::\"y\"", "Folder::\"f\"", "Thing::\"t\""]),
        flag: bool,
    ) {
        let set = PolicySet::from_str(&policies.join("\n")).expect("policies");
        let entities = Entities::from_json_str(ENTITIES, None).expect("entities");
        let index = Index::new(set.policies().cloned(), &entities);
        prop_assert_eq!(index.len(), policies.len());
        let uid = |text: &str| text.parse::<EntityUid>().expect("an entity");
        let context = serde_json::json!({ "flag": flag });
        let request = Request::new(
            uid(principal),
            uid(&format!("Action::\"{action}\"")),
            uid(resource),
            Context::from_json_value(context, None).expect("a context"),
            None,
        );
        let request = request.expect("a request");
        let sliced = index.decide(&request, &entities);
        let unsliced = index.decide_by(&index.whole(), &request, &entities);
        prop_assert_eq!(&sliced, &unsliced);
        prop_assert_eq!(sliced, index.decide(&request, &entities), "a slice made before");
    }
}

#[test]
fn a_slice_holds_what_can_matter_and_nothing_else() {
    let text = r#"
        permit (principal == User::"ana", action == Action::"read", resource is File);
        permit (principal == User::"ana", action == Action::"write", resource is File);
        forbid (principal, action in Action::"look", resource is Folder);
        forbid (principal, action, resource) when { context.flag };
    "#;
    let set = PolicySet::from_str(text).expect("policies");
    let entities = Entities::from_json_str(ENTITIES, None).expect("entities");
    let index = Index::new(set.policies().cloned(), &entities);
    let size = |action: &str, kind: &str| {
        let action: EntityUid = format!("Action::\"{action}\"").parse().expect("an action");
        index.slice(&action, &kind.parse().expect("a type")).ids().count()
    };
    assert_eq!((size("read", "File"), size("read", "Folder")), (2, 2));
    assert_eq!((size("list", "Folder"), size("list", "File")), (2, 1));
    assert_eq!((size("dance", "File"), size("read", "Planet")), (1, 1));
}
