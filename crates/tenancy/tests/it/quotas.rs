//! Room `tenancy`: limits follow the plan, but for those an operator has set.

use http::{Method, StatusCode};
use misy_core::TenantId;
use serde_json::{Value, json};

use crate::house::{Answer, House, Operator, owner};

async fn in_force(house: &House, tenant: TenantId) -> Vec<(String, i64, String)> {
    let answer = house.get(&Operator, &format!("/v1/tenants/{tenant}/quotas")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let data = answer.body["data"].as_array().expect("a list");
    let text = |item: &Value, name: &str| item[name].as_str().expect("text").to_owned();
    let quota = |item: &Value| {
        (text(item, "name"), item["max_count"].as_i64().expect("a count"), text(item, "source"))
    };
    data.iter().map(quota).collect()
}

async fn set(house: &House, tenant: TenantId, overrides: Value) -> Answer {
    let path = format!("/v1/tenants/{tenant}/quotas");
    let body = Some(json!({"overrides": overrides}));
    house.send(&Operator, Method::PUT, &path, &[], body).await
}

async fn move_to(house: &House, tenant: TenantId, plan: &str) {
    let path = format!("/v1/tenants/{tenant}");
    let answer = house.patch(&Operator, &path, json!({"plan": plan})).await;
    assert_eq!(answer.text("plan"), plan);
}

fn plan(limits: &[(&str, i64)]) -> Vec<(String, i64, String)> {
    limits.iter().map(|(name, count)| ((*name).to_owned(), *count, "plan".to_owned())).collect()
}

#[tokio::test]
async fn limits_follow_the_plan() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let trial =
        plan(&[("channels", 2), ("contacts", 1_000), ("messages_per_month", 1_000), ("users", 3)]);
    assert_eq!(in_force(&house, tenant).await, trial);
    move_to(&house, tenant, "unlimited").await;
    assert_eq!(in_force(&house, tenant).await, []);
    move_to(&house, tenant, "trial").await;
    assert_eq!(in_force(&house, tenant).await, trial);
}

#[tokio::test]
async fn an_operators_limit_stays_when_the_plan_changes() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let answer = set(&house, tenant, json!({"users": 7, "webhooks": 0})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let operators = [
        ("users".to_owned(), 7, "operator".to_owned()),
        ("webhooks".to_owned(), 0, "operator".to_owned()),
    ];
    move_to(&house, tenant, "unlimited").await;
    assert_eq!(in_force(&house, tenant).await, operators);
    set(&house, tenant, json!({})).await;
    assert_eq!(in_force(&house, tenant).await, [], "given back to a plan without limits");
    set(&house, tenant, json!({"users": 7})).await;
    move_to(&house, tenant, "standard").await;
    set(&house, tenant, json!({})).await;
    assert!(in_force(&house, tenant).await.contains(&plan(&[("users", 25)])[0]));
}

#[tokio::test]
async fn a_plan_that_changed_without_its_limits_is_made_good_by_the_job() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    move_to(&house, tenant, "unlimited").await;
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    let undo = "insert into tenant_quotas (tenant_id, name, max_count, source)
        values ($1, 'users', 3, 'plan')";
    tx.execute(undo, &[&misy_core::id::TypedId::uuid(tenant)]).await.expect("as before a crash");
    tx.commit().await.expect("commits");
    assert_eq!(house.run_jobs_after_s(61).await, 2, "provisioning and the plan");
    assert_eq!(in_force(&house, tenant).await, []);
}

#[tokio::test]
async fn what_cannot_be_a_limit_is_refused() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    for overrides in [json!({"users": -1}), json!({"a b": 1}), json!({"": 1}), json!(5)] {
        let answer = set(&house, tenant, overrides.clone()).await;
        assert_eq!(answer.refusal(), (422, "request.invalid"), "{overrides}");
        assert!(answer.pointers()[0].starts_with("/overrides"), "{}", answer.body);
    }
    assert_eq!(in_force(&house, tenant).await.len(), 4);
    let nobody: TenantId = "ten_00000000000000000000000001".parse().expect("an id");
    assert_eq!(set(&house, nobody, json!({"users": 1})).await.refusal().0, 404);
}
