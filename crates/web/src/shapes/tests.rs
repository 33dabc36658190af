//! Room `web`: schemas against values, in the forms that derived schemas take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;

#[derive(Serialize, Deserialize, ToSchema)]
struct Leaf {
    #[schema(min_length = 2, max_length = 4, pattern = "^[a-z]+$")]
    word: String,
    #[schema(minimum = 1, maximum = 5)]
    number: Option<i32>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum External {
    Nothing,
    One(Leaf),
    Two { leaf: Leaf },
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Untagged {
    Text(String),
    Leaf(Leaf),
}

#[derive(Serialize, Deserialize, ToSchema)]
struct Tree {
    #[serde(flatten)]
    leaf: Leaf,
    #[schema(no_recursion)]
    children: Vec<Tree>,
    external: Option<External>,
    untagged: Option<Untagged>,
    map: BTreeMap<String, Leaf>,
    #[schema(value_type = Object)]
    free: Value,
    #[schema(max_items = 2)]
    few: Option<Vec<bool>>,
}

fn faults(value: &Value) -> Vec<String> {
    let found = Shape::of::<Tree>().check(value);
    found.into_iter().map(|fault| format!("{} {}", fault.pointer, fault.detail)).collect()
}

fn tree() -> Value {
    json!({
        "word": "abc", "number": null, "children": [], "external": {"one": {"word": "ab"}},
        "untagged": "x", "map": {"k": {"word": "ab", "number": 5}}, "free": {"a": [1]},
        "few": [true],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut tree = tree();
    tree[name] = value;
    tree
}

#[test]
fn what_fits_has_no_fault() {
    let child = tree();
    for value in [
        tree(),
        with("children", json!([child])),
        with("external", json!("nothing")),
        with("external", json!({"two": {"leaf": {"word": "ab"}}})),
        with("external", Value::Null),
        with("untagged", json!({"word": "abcd"})),
        with("few", Value::Null),
    ] {
        assert_eq!(faults(&value), Vec::<String>::new(), "{value}");
        assert!(serde_json::from_value::<Tree>(value).is_ok());
    }
}

#[test]
fn each_fault_is_told_at_its_place() {
    for (value, expected) in [
        (with("word", json!("A")), "/word has to have at least 2 characters"),
        (with("word", json!("A1")), "/word has to match `^[a-z]+$`"),
        (with("number", json!(6)), "/number has to be at most 5"),
        (with("number", json!(1.5)), "/number has to be an integer or null, not a number"),
        (with("childs", json!([])), "/childs is not known here"),
        (with("map", json!({"a/b~": {}})), "/map/a~1b~0/word is missing"),
        (with("few", json!([true, true, true])), "/few has to have at most 2 items"),
        (with("few", json!([1])), "/few/0 has to be a boolean, not a number"),
        (with("free", json!(3)), "/free has to be an object, not a number"),
        (
            with("children", json!([{"word": "ab", "children": [], "map": {}}])),
            "/children/0/free is missing",
        ),
        (with("external", json!({"two": {}})), "/external/two/leaf is missing"),
        (
            with("untagged", json!({"word": "abcde"})),
            "/untagged/word has to have at most 4 characters",
        ),
    ] {
        let found = faults(&value);
        assert!(found.iter().any(|one| one == expected), "{expected}: {found:?}");
    }
}

#[test]
fn a_flattened_member_is_known_and_a_stranger_beside_it_is_not() {
    let mut value = tree();
    value["number"] = json!(3);
    assert!(faults(&value).is_empty());
    value["stranger"] = json!(3);
    assert_eq!(faults(&value), ["/stranger is not known here"]);
}

#[test]
fn a_mended_value_can_be_read() {
    let shape = Shape::of::<Tree>();
    let mut value =
        json!({"children": [7], "external": {"three": 1}, "map": {"k": null}, "few": "x"});
    for fault in shape.check(&value) {
        assert!(shape.repair(&mut value, &fault.pointer), "{fault:?}");
    }
    // The pattern has no example, so a sample of it is not right; everything else is.
    let left: Vec<_> = shape.check(&value).into_iter().map(|fault| fault.pointer).collect();
    assert!(left.iter().all(|pointer| pointer.ends_with("word")), "{left:?} in {value}");
    assert!(serde_json::from_value::<Tree>(value).is_ok());
}

#[test]
fn faults_are_counted_only_so_far() {
    let many = with("few", Value::Null);
    let children = vec![many.clone(); 10];
    let mut value = with("children", json!(children));
    value["map"] = (0..500).map(|n| (n.to_string(), json!(1))).collect::<Map<_, _>>().into();
    assert_eq!(faults(&value).len(), MAX_FAULTS);
}
