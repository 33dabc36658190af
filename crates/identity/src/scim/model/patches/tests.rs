//! Room `identity`: patches, as the RFC and as directories write them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::schemas::{ENTERPRISE, Type};
use super::{Error, apply};

fn ana() -> Value {
    json!({
        "userName": "ana", "active": true, "title": "Agent",
        "name": {"givenName": "Ana", "familyName": "Roy"},
        "emails": [
            {"value": "a@work.example", "type": "work", "primary": true},
            {"value": "a@home.example", "type": "home"},
        ],
    })
}

fn patched(of: Type, document: &Value, operations: Value) -> Result<Value, Error> {
    apply(of, document, &json!({"schemas": ["x"], "Operations": operations}))
}

fn user(operation: Value) -> Value {
    patched(Type::User, &ana(), json!([operation])).expect("it can be done")
}

#[test]
fn microsofts_directory_is_understood() {
    let off = user(json!({"op": "Replace", "path": "active", "value": "False"}));
    assert_eq!(off["active"], false);
    let named = user(json!({"op": "Add", "value": {
        "name.givenName": "Anna", "displayName": "Anna R.", "unknownThing": 4,
        (format!("{ENTERPRISE}:department")): "Support", "active": "True",
    }}));
    assert_eq!(named["name"], json!({"givenName": "Anna", "familyName": "Roy"}));
    assert_eq!(named[ENTERPRISE]["department"], "Support");
    let mail = json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "b@w.x"});
    assert_eq!(user(mail)["emails"][0]["value"], "b@w.x");
    let made = json!({"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"});
    assert_eq!(user(made)["phoneNumbers"], json!([{"type": "mobile", "value": "1"}]));
    let path = format!("{ENTERPRISE}:employeeNumber");
    let number = user(json!({"op": "Add", "path": path, "value": 42}));
    assert_eq!(number[ENTERPRISE]["employeeNumber"], "42");
    let group = json!({"displayName": "G", "members": [{"value": "u1"}, {"value": "u2"}]});
    let gone = json!([{"op": "Remove", "path": "members", "value": [{"value": "u1"}]}]);
    let after = patched(Type::Group, &group, gone).expect("it can be done");
    assert_eq!(after["members"], json!([{"value": "u2"}]));
}

#[test]
fn oktas_directory_is_understood() {
    let off = user(json!({"op": "replace", "value": {"active": false}}));
    assert_eq!(off["active"], false);
    let group = json!({"displayName": "G", "members": [{"value": "u1"}, {"value": "u2"}]});
    let operations = json!([
        {"op": "remove", "path": "members[value eq \"u1\"]"},
        {"op": "add", "path": "members", "value": [{"value": "u3", "display": "x"}]},
        {"op": "add", "path": "members", "value": {"value": "u3"}},
        {"op": "replace", "value": {"id": "grp_1", "displayName": "H"}},
    ]);
    let after = patched(Type::Group, &group, operations).expect("it can be done");
    let expected = json!({"displayName": "H", "members": [{"value": "u2"}, {"value": "u3"}]});
    assert_eq!(after, expected);
}

#[test]
fn add_joins_and_replace_replaces() {
    let other = json!([{"value": "c@d.example", "primary": true}]);
    let joined = user(json!({"op": "add", "path": "emails", "value": other}));
    assert_eq!(joined["emails"].as_array().map(Vec::len), Some(3));
    assert!(joined["emails"][0].get("primary").is_none(), "there is one primary address");
    let replaced = user(json!({"op": "replace", "path": "emails", "value": other}));
    assert_eq!(replaced["emails"], other);
    let part = json!({"op": "replace", "path": "name", "value": {"givenName": "B"}});
    assert_eq!(user(part)["name"], json!({"givenName": "B", "familyName": "Roy"}));
    let same = json!({"op": "add", "path": "title", "value": "Lead"});
    assert_eq!(user(same)["title"], "Lead");
}

#[test]
fn remove_takes_what_is_named_and_no_more() {
    let home = user(json!({"op": "remove", "path": "emails[type eq \"home\"]"}));
    assert_eq!(home["emails"].as_array().map(Vec::len), Some(1));
    let part = user(json!({"op": "remove", "path": "name.familyName"}));
    assert_eq!(part["name"], json!({"givenName": "Ana"}));
    let title = user(json!({"op": "remove", "path": "title"}));
    assert!(title.get("title").is_none());
    let twice = user(json!({"op": "remove", "path": "nickName"}));
    assert_eq!(twice, ana());
}

#[test]
fn what_cannot_be_done_says_why() {
    for (operation, expected) in [
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "move", "path": "title"}), "invalidSyntax"),
        (json!({"op": "add", "path": "title"}), "invalidValue"),
        (json!({"op": "add", "path": "shoeSize", "value": 4}), "invalidPath"),
        (json!({"op": "add", "path": "id", "value": "x"}), "mutability"),
        (json!({"op": "replace", "path": "groups", "value": []}), "mutability"),
        (json!({"op": "remove", "path": "userName"}), "invalidValue"),
        (json!({"op": "replace", "path": "active", "value": "perhaps"}), "invalidValue"),
        (json!({"op": "replace", "path": "emails[type eq", "value": 1}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[size eq 1].value", "value": 1}), "invalidFilter"),
        (json!({"op": "replace", "path": "emails[value sw \"z\"].type", "value": "x"}), "noTarget"),
        (json!({"op": "replace", "path": "title[value eq 1]", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "value": "text"}), "invalidSyntax"),
        (json!("text"), "invalidSyntax"),
    ] {
        let refused = patched(Type::User, &ana(), json!([operation])).expect_err("no");
        assert_eq!(refused.scim_type(), Some(expected), "{operation}: {refused}");
    }
    let many: Vec<_> = vec![json!({"op": "remove", "path": "title"}); 1_001];
    assert!(patched(Type::User, &ana(), json!(many)).is_err());
    assert!(apply(Type::User, &ana(), &json!([])).is_err());
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in ".{0,60}", op in "add|replace|remove") {
        let inner = format!("emails[type eq \"{path}\"].x");
        for path in [path.clone(), format!("emails[{path}"), inner] {
            let _ = patched(Type::User, &ana(), json!([{"op": op, "path": path, "value": "v"}]));
        }
    }
}
