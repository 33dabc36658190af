//! Room `tenancy`: the order of steps, and opening hours.

use serde_json::json;

use super::*;
use crate::onboarding_workflows::model::StepDefinition;
use misy_core::id::TypedId;

fn steps(all: Value) -> Vec<StepDefinition> {
    serde_json::from_value(all).expect("steps")
}

fn onboarding() -> Onboarding {
    Onboarding {
        workflow: OnboardingWorkflowId::from_uuid(uuid::Uuid::nil()),
        workflow_version: 1,
        title: "x".to_owned(),
        steps: steps(json!([
            {"key": "size", "title": "x", "check": "form", "schema": {"type": "object"}},
            {"key": "team", "title": "x", "check": "team", "needs": ["size"], "may_skip": true,
             "skip_when": {"type": "object", "required": ["size"], "properties": {
                 "size": {"properties": {"people": {"const": 1}}, "required": ["people"]}}}},
            {"key": "live", "title": "x", "check": "go_live", "needs": ["team"]},
        ])),
        standings: BTreeMap::new(),
        began_at: Timestamp::UNIX_EPOCH,
        completed_at: None,
        version: 1,
    }
}

fn done(data: Value) -> Standing {
    let at = Some(Timestamp::UNIX_EPOCH);
    Standing { state: State::Done, data: Some(data), reason: None, settled_at: at }
}

#[test]
fn steps_come_in_the_order_of_their_needs() {
    let mut one = onboarding();
    assert_eq!(one.next(), ["size"]);
    assert!(matches!(one.ready("team"), Err(Error::Blocked(missing)) if missing == ["size"]));
    assert!(matches!(one.skippable("size"), Err(Error::Needed)));
    assert!(matches!(one.step("nothing"), Err(Error::NoSuchStep)));
    assert_eq!(one.settle("size", done(json!({"people": 5})), Timestamp::UNIX_EPOCH), ["size"]);
    assert_eq!(one.next(), ["team"]);
    assert!(one.skippable("team").is_ok());
}

#[test]
fn a_step_that_the_answers_make_needless_is_skipped_by_itself() {
    let mut one = onboarding();
    let settled = one.settle("size", done(json!({"people": 1})), Timestamp::UNIX_EPOCH);
    assert_eq!(settled, ["size", "team"]);
    assert_eq!(one.standing("team").state, State::Skipped);
    assert_eq!((one.next(), one.completed_at), (vec!["live"], None));
    one.settle("live", done(Value::Null), Timestamp::UNIX_EPOCH);
    assert_eq!(one.completed_at, Some(Timestamp::UNIX_EPOCH));
}

#[test]
fn what_is_reopened_opens_all_that_needed_it_and_keeps_what_was_sent() {
    let mut one = onboarding();
    one.settle("size", done(json!({"people": 1})), Timestamp::UNIX_EPOCH);
    one.settle("live", done(Value::Null), Timestamp::UNIX_EPOCH);
    assert_eq!(one.reopen("size"), ["size", "team", "live"]);
    assert_eq!((one.settled(), one.completed_at), (0, None));
    assert_eq!(one.standing("size").data, Some(json!({"people": 1})));
}

#[test]
fn opening_hours_are_times_of_days_in_a_zone() {
    let good = json!({"time_zone": "Europe/Berlin",
        "days": {"mon": [["09:00", "12:00"], ["13:00", "18:30"]], "sun": []}});
    assert!(check_hours(&good).is_empty());
    let bad = json!({"time_zone": "Mars/Base", "until": 1, "days": {
        "mon": [["09:00", "12:00"], ["11:00", "18:00"]], "tue": [["18:00", "09:00"]],
        "wed": [["9:00", "10:00"]], "thu": [["24:00", "25:00"]], "fri": "all", "day": []}});
    let mut pointers: Vec<String> =
        check_hours(&bad).into_iter().map(|fault| fault.pointer).collect();
    pointers.sort();
    let wanted = [
        "/data/days/day",
        "/data/days/fri",
        "/data/days/mon/1",
        "/data/days/thu/0",
        "/data/days/tue/0",
        "/data/days/wed/0",
        "/data/time_zone",
        "/data/until",
    ];
    assert_eq!(pointers, wanted);
    assert_eq!(check_hours(&json!({"time_zone": "UTC"})).len(), 1);
    assert_eq!(check_hours(&json!("always")).len(), 2);
}
