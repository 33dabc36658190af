//! Room `tenancy`: plans are data, what they allow is dated, and so is who has which.

use http::Method;
use jiff::SignedDuration;
use misy_core::TenantId;
use serde_json::{Value, json};

use crate::house::{Admin, Answer, House, Operator, OtherOperator};

async fn limit(house: &House, tenant: TenantId, query: &str) -> Option<i64> {
    let answer = house.get(&Operator, &format!("/v1/tenants/{tenant}/quotas{query}")).await;
    let data = answer.body["data"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
    data.iter().find(|one| one["name"] == "users")?["max_count"].as_i64()
}

async fn growth(house: &House) -> Answer {
    let new = json!({"id": "growth", "name": "Growth", "limits": {"users": 5}});
    house.post(&Operator, "/v1/plans", new).await
}

async fn decide(house: &House, tenant: TenantId, wish: Value) -> Answer {
    house.post(&Operator, &format!("/v1/tenants/{tenant}/plan-changes"), wish).await
}

fn in_days(house: &House, days: i64) -> String {
    (house.deps.ambient.now() + SignedDuration::from_hours(24 * days)).to_string()
}

#[tokio::test]
async fn a_plan_is_made_read_changed_and_retired() {
    let house = House::build().await;
    let made = growth(&house).await;
    assert_eq!((made.status.as_u16(), made.text("id")), (201, "growth"), "{}", made.body);
    assert_eq!(growth(&house).await.refusal(), (409, "request.conflict"));
    let listed = house.get(&Operator, "/v1/plans").await;
    assert_eq!(listed.column("id"), ["growth", "standard", "trial", "unlimited"]);
    let name = Some(json!({"name": "Growing"}));
    let seen = [("if-match", made.etag.as_str())];
    let changed = house.send(&Operator, Method::PATCH, "/v1/plans/growth", &seen, name.clone());
    let changed = changed.await;
    assert_eq!((changed.text("name"), &changed.body["limits"]), ("Growing", &json!({"users": 5})));
    let stale = house.send(&OtherOperator, Method::PATCH, "/v1/plans/growth", &seen, name).await;
    assert_eq!(stale.refusal().0, 412);
    let tenant = house.tenant("acme").await;
    assert_eq!(decide(&house, tenant, json!({"plan": "growth"})).await.status.as_u16(), 201);
    for _ in 0..2 {
        let path = "/v1/plans/growth/retire";
        let retired = house.send(&Operator, Method::POST, path, &[], None).await;
        assert!(retired.body["retired_at"].is_string(), "{}", retired.body);
    }
    assert_eq!(limit(&house, tenant, "").await, Some(5), "who has it keeps it");
    let other = house.tenant("bolt").await;
    let refused = decide(&house, other, json!({"plan": "growth"})).await;
    assert_eq!((refused.refusal().0, refused.pointers()), (422, vec!["/plan"]));
}

#[tokio::test]
async fn other_limits_of_a_plan_are_in_force_from_their_time_on_for_all_who_have_it() {
    let house = House::build().await;
    growth(&house).await;
    let (tenant, other) = (house.tenant("acme").await, house.tenant("bolt").await);
    decide(&house, tenant, json!({"plan": "growth"})).await;
    house.run_jobs_after_s(61).await;
    let from = in_days(&house, 10);
    let change = json!({"limits": {"users": 9}, "effective_from": from});
    let planned = house.patch(&Operator, "/v1/plans/growth", change).await;
    assert_eq!(planned.body["limits"], json!({"users": 5}), "not yet: {}", planned.body);
    assert_eq!(limit(&house, tenant, "").await, Some(5));
    assert_eq!(limit(&house, tenant, &format!("?at={}", in_days(&house, 11))).await, Some(9));
    house.run_jobs_after_s(9 * 24 * 3_600).await;
    assert_eq!(limit(&house, tenant, "").await, Some(5), "a day before");
    house.run_jobs_after_s(24 * 3_600 + 1).await;
    house.run_jobs_after_s(1).await;
    assert_eq!(limit(&house, tenant, "").await, Some(9));
    assert_eq!(limit(&house, other, "").await, Some(3), "the trial's");
    let shown = house.get(&Operator, "/v1/plans/growth").await;
    let versions = shown.body["versions"].as_array().expect("a list");
    assert_eq!((versions.len(), &versions[0]["number"]), (2, &json!(2)));
    assert!(versions.iter().all(|one| one["applied_at"].is_string()), "{versions:?}");
}

#[tokio::test]
async fn a_change_of_plan_comes_at_its_time_and_another_decision_takes_its_place() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let from = in_days(&house, 3);
    let later = decide(&house, tenant, json!({"plan": "standard", "effective_from": from})).await;
    assert_eq!((later.status.as_u16(), &later.body["applied_at"]), (201, &Value::Null));
    let path = format!("/v1/tenants/{tenant}");
    assert_eq!(house.get(&Operator, &path).await.text("plan"), "trial");
    assert_eq!(limit(&house, tenant, &format!("?at={}", in_days(&house, 4))).await, Some(25));
    let from = in_days(&house, 5);
    decide(&house, tenant, json!({"plan": "unlimited", "effective_from": from})).await;
    house.run_jobs_after_s(4 * 24 * 3_600).await;
    assert_eq!(house.get(&Operator, &path).await.text("plan"), "trial", "withdrawn");
    house.run_jobs_after_s(24 * 3_600 + 1).await;
    assert_eq!(house.get(&Operator, &path).await.text("plan"), "unlimited");
    assert_eq!(limit(&house, tenant, "").await, None);
    let history = house.get(&Operator, &format!("{path}/plan-changes")).await;
    assert_eq!(history.column("plan"), ["unlimited", "standard", "trial"]);
    let withdrawn: Vec<bool> =
        (0..3).map(|at| history.body["data"][at]["withdrawn_at"].is_string()).collect();
    assert_eq!(withdrawn, [false, true, false]);
    let told = house.get(&Operator, &format!("{path}/lifecycle")).await;
    let actions = told.body["history"].as_array().expect("a list").clone();
    assert!(actions.iter().any(|one| one["action"] == "tenant.plan_changed"), "{actions:?}");
}

#[tokio::test]
async fn an_operators_limit_holds_at_any_time_and_a_patch_is_a_decision_too() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let path = format!("/v1/tenants/{tenant}");
    let own = Some(json!({"overrides": {"users": 77}}));
    house.send(&Operator, Method::PUT, &format!("{path}/quotas"), &[], own).await;
    decide(&house, tenant, json!({"plan": "standard", "effective_from": in_days(&house, 2)})).await;
    assert_eq!(limit(&house, tenant, &format!("?at={}", in_days(&house, 3))).await, Some(77));
    house.patch(&Operator, &path, json!({"plan": "unlimited"})).await;
    let history = house.get(&Operator, &format!("{path}/plan-changes")).await;
    assert_eq!(history.column("plan"), ["unlimited", "standard", "trial"]);
    assert!(history.body["data"][1]["withdrawn_at"].is_string(), "{}", history.body);
    assert_eq!(limit(&house, tenant, "").await, Some(77));
}

#[tokio::test]
async fn what_is_wrong_with_a_plan_is_told() {
    let house = House::build().await;
    let bad = json!({"id": "No Good", "name": "x", "limits": {"users": 1}});
    let refused = house.post(&Operator, "/v1/plans", bad).await;
    assert_eq!((refused.refusal().0, refused.pointers()), (422, vec!["/id"]));
    let bad = json!({"id": "x", "name": "x", "limits": {"users": -1}});
    let refused = house.post(&Operator, "/v1/plans", bad).await;
    assert_eq!((refused.refusal().0, refused.pointers()), (422, vec!["/limits"]));
    let past = in_days(&house, -1);
    let change = json!({"limits": {}, "effective_from": past});
    let refused = house.patch(&Operator, "/v1/plans/trial", change).await;
    assert_eq!((refused.refusal().0, refused.pointers()), (422, vec!["/effective_from"]));
    let change = json!({"effective_from": in_days(&house, 1)});
    let refused = house.patch(&Operator, "/v1/plans/trial", change).await;
    assert_eq!(refused.pointers(), ["/effective_from"], "it dates nothing");
    let tenant = house.tenant("acme").await;
    let wish = json!({"plan": "standard", "effective_from": past});
    assert_eq!(decide(&house, tenant, wish).await.pointers(), ["/effective_from"]);
    assert_eq!(decide(&house, tenant, json!({"plan": "nope"})).await.pointers(), ["/plan"]);
}

#[tokio::test]
async fn plans_are_for_operators_and_absent_ones_are_not_found() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let changes = format!("/v1/tenants/{tenant}/plan-changes");
    for path in ["/v1/plans", "/v1/plans/trial", &changes] {
        let refused = house.get(&Admin(tenant), path).await;
        assert_eq!(refused.refusal(), (403, "auth.permission_denied"), "{path}");
    }
    let wish = json!({"plan": "unlimited"});
    assert_eq!(house.post(&Admin(tenant), &changes, wish.clone()).await.refusal().0, 403);
    let absent = "/v1/tenants/ten_00000000000000000000000001/plan-changes";
    assert_eq!(house.get(&Operator, absent).await.refusal().0, 404);
    assert_eq!(house.post(&Operator, absent, wish).await.refusal().0, 404);
    assert_eq!(house.get(&Operator, "/v1/plans/nope").await.refusal().0, 404);
    assert_eq!(house.patch(&Operator, "/v1/plans/nope", json!({})).await.refusal().0, 404);
    assert_eq!(house.post_nothing(&Operator, "/v1/plans/nope/retire").await.as_u16(), 404);
}
