//! Room `tenancy`: every change leaves a record, and each tenant reads its own.

use http::{Method, StatusCode};
use misy_core::TenantId;
use misy_testkit::platform_ctx;
use serde_json::json;

use crate::house::{Admin, Agent, House, Operator};

async fn of_the_platform(house: &House, tenant: TenantId) -> Vec<String> {
    let sql = "select action from platform_audit_records where resource_id = $1 order by id";
    let mut tx = house.db.platform_read(&platform_ctx()).await.expect("a connection");
    let rows = tx.query(sql, &[&tenant.to_string()]).await.expect("a statement");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_operators_do_is_in_the_platforms_log() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    house.suspend(tenant).await;
    house.activate(tenant).await;
    house.patch(&Operator, &format!("/v1/tenants/{tenant}"), json!({"plan": "standard"})).await;
    assert_eq!(
        of_the_platform(&house, tenant).await,
        [
            "tenant.created",
            "tenant.provisioned",
            "tenant.suspended",
            "tenant.activated",
            "tenant.plan_changed",
            "tenant.updated"
        ]
    );
}

#[tokio::test]
async fn what_is_refused_leaves_no_record() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    house.activate(tenant).await;
    house.patch(&Operator, &format!("/v1/tenants/{tenant}"), json!({"plan": "golden"})).await;
    assert_eq!(of_the_platform(&house, tenant).await.len(), 2);
}

#[tokio::test]
async fn a_tenants_own_log_is_newest_first_and_paged() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let admin = Admin(tenant);
    house.patch(&admin, "/v1/tenant", json!({"name": "Acme AG", "locale": "de"})).await;
    let path = format!("/v1/tenants/{tenant}/quotas");
    let body = Some(json!({"overrides": {"users": 9}}));
    house.send(&Operator, Method::PUT, &path, &[], body).await;
    let all = house.get(&admin, "/v1/audit/records").await;
    assert_eq!(all.column("action"), ["quotas.updated", "tenant.updated", "key.created"]);
    assert_eq!(all.body["data"][1]["detail"], json!({"fields": ["name", "locale"]}));
    assert!(all.column("actor")[0].starts_with("opr_"), "an operator's hand shows");
    assert!(all.column("actor")[1].starts_with("usr_"));
    let first = house.get(&admin, "/v1/audit/records?limit=2").await;
    let cursor = first.text("next_cursor");
    let rest = house.get(&admin, &format!("/v1/audit/records?limit=2&cursor={cursor}")).await;
    assert_eq!([first.column("id"), rest.column("id")].concat(), all.column("id"));
    assert!(rest.body["next_cursor"].is_null());
}

#[tokio::test]
async fn records_are_found_by_each_of_their_properties() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let admin = Admin(tenant);
    house.patch(&admin, "/v1/tenant", json!({"name": "Acme AG"})).await;
    let all = house.get(&admin, "/v1/audit/records").await;
    let updated = &all.body["data"][0];
    for name in ["action", "resource", "resource_id", "actor"] {
        let value = updated[name].as_str().expect("text");
        let found = house.get(&admin, &format!("/v1/audit/records?{name}={value}")).await;
        assert_eq!(found.column("action"), ["tenant.updated"], "{name}={value}");
        let none = house.get(&admin, &format!("/v1/audit/records?{name}=nothing")).await;
        assert_eq!((none.status, none.column("id").len()), (StatusCode::OK, 0), "{name}");
        let hostile = house.get(&admin, &format!("/v1/audit/records?{name}=%00")).await;
        assert_eq!(hostile.pointers(), [name]);
    }
    let unknown = house.get(&admin, "/v1/audit/records?colour=red").await;
    assert_eq!(unknown.refusal(), (400, "request.unknown_parameter"));
}

#[tokio::test]
async fn nobody_reads_the_log_of_others_or_without_the_right() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    house.patch(&Admin(a), "/v1/tenant", json!({"name": "Changed"})).await;
    let of_b = house.get(&Admin(b), "/v1/audit/records").await;
    assert_eq!(of_b.column("action"), ["key.created"]);
    let agent = house.get(&Agent(a), "/v1/audit/records").await;
    assert_eq!(agent.refusal(), (403, "auth.permission_denied"));
}
