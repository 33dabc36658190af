//! Room `tenancy`: which workflows can be walked to their end, and how forms are judged.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn step(key: &str, needs: &[&str]) -> StepDefinition {
    let step = json!({"key": key, "title": key, "check": "team", "needs": needs});
    serde_json::from_value(step).expect("a step")
}

fn pointers(steps: &[StepDefinition]) -> Vec<String> {
    check_steps(steps).into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn steps_that_wait_for_each_other_are_refused() {
    let circle = [step("a", &[]), step("b", &["a", "d"]), step("c", &["b"]), step("d", &["c"])];
    assert_eq!(pointers(&circle), ["/steps/1/needs", "/steps/2/needs", "/steps/3/needs"]);
    assert_eq!(pointers(&[step("a", &["a"])]), ["/steps/0/needs"]);
}

#[test]
fn every_fault_is_told_at_once() {
    let mut form = step("a", &["nobody"]);
    form.check = Check::Form;
    let mut live = step("a", &[]);
    live.check = Check::GoLive;
    live.may_skip = true;
    live.min_count = 0;
    live.skip_when = Some(json!({"type": "nonsense"}));
    let wanted = [
        "/steps/0/needs/0",
        "/steps/0/schema",
        "/steps/1/key",
        "/steps/1/min_count",
        "/steps/1/may_skip",
        "/steps/1/skip_when",
    ];
    assert_eq!(pointers(&[form, live]), wanted);
    assert_eq!(pointers(&[]), ["/steps"]);
    assert_eq!(pointers(&[step("A-b", &[])]), ["/steps/0/key"]);
}

#[test]
fn a_form_fetches_nothing_and_its_patterns_take_linear_time() {
    for bad in [
        json!({"$ref": "https://forms.example/x.json"}),
        json!({"type": "string", "pattern": "(a)\\1"}),
        json!({"minLength": "x"}),
        json!("text"),
        json!({"description": "x".repeat(20_000)}),
    ] {
        assert!(check_form(&bad).is_err(), "{bad:.80}");
    }
    assert_eq!(check_form(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}})), Ok(()));
}

#[test]
fn faults_of_data_name_their_place_and_not_what_stands_there() {
    let form = json!({"type": "object", "required": ["a"],
        "properties": {"b": {"type": "object", "properties": {"c": {"type": "integer"}}}}});
    let faults = judge(&form, &json!({"b": {"c": "secret"}}), "/data");
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers.len(), 2);
    assert!(pointers.contains(&"/data") && pointers.contains(&"/data/b/c"), "{pointers:?}");
    assert!(faults.iter().all(|fault| !fault.detail.contains("secret")), "{faults:?}");
    assert!(judge(&form, &json!({"a": 1}), "/data").is_empty());
}

proptest! {
    /// Needs that only point backwards can always be walked; one that closes a circle never.
    #[test]
    fn a_workflow_is_refused_exactly_if_it_has_a_circle(
        needs in prop::collection::vec(prop::collection::vec(0usize..12, 0..3), 2..12),
        closing in any::<bool>(),
    ) {
        let name = |at: usize| format!("s{at}");
        let mut steps: Vec<StepDefinition> = needs.iter().enumerate().map(|(at, needs)| {
            let before: Vec<String> =
                needs.iter().filter(|need| **need < at).map(|need| name(*need)).collect();
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            step(&name(at), &before)
        }).collect();
        if closing {
            let last = steps.len() - 1;
            steps[last].needs.push(name(0));
            steps[0].needs.push(name(last));
        }
        prop_assert_eq!(check_steps(&steps).is_empty(), !closing);
    }
}
