//! Room `tenancy`: who may take a tenant along, and that what arrives is all of it or is seen to be
//! cut.

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use http::{Response, StatusCode};
use misy_core::{Role, TenantId};
use serde_json::{Value, json};

use crate::house::{Admin, House, Operator, Person, Staff, Stranger, User, owner, wanted};

const ABSENT: &str = "/v1/tenants/ten_00000000000000000000000001/export";

fn of(tenant: TenantId) -> String {
    format!("/v1/tenants/{tenant}/export")
}

/// All lines of an answer.
async fn lines(response: Response<Body>) -> Vec<Value> {
    let bytes = axum::body::to_bytes(response.into_body(), 64 << 20).await.expect("all of it");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn export(house: &House, user: &impl User, path: &str) -> Vec<Value> {
    let response = house.open(user, path).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let name = response.headers()["content-disposition"].to_str().expect("text").to_owned();
    assert_eq!(name, "attachment; filename=\"acme.ndjson\"");
    lines(response).await
}

/// A tenant with more than fits into one piece.
async fn with_rows(house: &House, slug: &str, rows: i32) -> TenantId {
    let tenant = house.post(&Operator, "/v1/tenants", wanted(slug)).await.id();
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    let sql = "
        insert into tenant_quotas (tenant_id, name, max_count, source)
        select $1, repeat('x', 90) || n, n, 'operator' from generate_series(1, $2::int) n";
    let id = tx.tenant();
    tx.execute(sql, &[&id, &rows]).await.expect("rows");
    tx.commit().await.expect("it commits");
    tenant
}

fn rows_of<'a>(lines: &'a [Value], table: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["table"] == table).map(|line| &line["row"]).collect()
}

#[tokio::test]
async fn an_operator_takes_along_every_row_and_the_last_line_says_so() {
    let house = House::build().await;
    let tenant = with_rows(&house, "acme", 5_000).await;
    let neighbour = house.tenant("bolt").await;
    let lines = export(&house, &Operator, &of(tenant)).await;
    let (first, last) = (&lines[0]["export"], &lines[lines.len() - 1]["end"]);
    assert_eq!((&first["tenant_id"], &first["form"]), (&json!(tenant), &json!(1)));
    assert_eq!(first["slug"], json!("acme"));
    assert_eq!(last["rows"], json!(lines.len() - 2));
    assert_eq!(last["tables"]["tenant_quotas"], json!(5_004), "four of the plan's");
    let mut counts: Vec<i64> = rows_of(&lines, "tenant_quotas")
        .iter()
        .filter(|row| row["source"] == "operator")
        .filter_map(|row| row["max_count"].as_i64())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=5_000).collect::<Vec<i64>>(), "each once");
    assert_eq!(rows_of(&lines, "tenants").len(), 1);
    let text = json!(lines).to_string();
    for secret in ["\"sealed\"", "\"wrapped\"", "\"fingerprint\""] {
        assert!(!text.contains(secret), "{secret} stays");
    }
    let foreign = misy_core::id::TypedId::uuid(neighbour).to_string();
    assert!(!text.contains(&foreign) && !text.contains(&neighbour.to_string()));
    let own = house.get(&Admin(tenant), "/v1/audit/records?action=tenant.exported").await;
    assert_eq!(own.body["data"][0]["actor"], "opr_00000000000000000000000001");
    let sql = "select count(*) from platform_audit_records where action = 'tenant.exported'";
    assert_eq!(house.count(sql).await, 1, "the platform's log says so too");
}

#[tokio::test]
async fn the_owner_takes_along_the_same_and_nobody_below_an_owner_does() {
    let house = House::build().await;
    let tenant = with_rows(&house, "acme", 10).await;
    let owners = export(&house, &Person(tenant, Role::Owner), "/v1/tenant/export").await;
    let operators = export(&house, &Operator, &of(tenant)).await;
    for table in ["tenant_quotas", "tenant_keys", "tenant_secrets", "tenants", "sagas"] {
        assert_eq!(rows_of(&owners, table), rows_of(&operators, table), "{table}");
    }
    for role in [Role::Viewer, Role::Agent, Role::Supervisor, Role::Admin] {
        let refused = house.get(&Person(tenant, role), "/v1/tenant/export").await;
        assert_eq!(refused.refusal(), (403, "auth.permission_denied"), "{role:?}");
    }
    assert_eq!(house.get(&Operator, "/v1/tenant/export").await.refusal().0, 403);
    assert_eq!(house.get(&Stranger, "/v1/tenant/export").await.refusal().0, 401);
    let sql = "select count(*) from platform_audit_records where action = 'tenant.exported'";
    assert_eq!(house.count(sql).await, 1, "what an owner does is the tenant's own business");
}

#[tokio::test]
async fn a_tenant_is_taken_along_by_id_by_those_alone_who_run_the_platform() {
    let house = House::build().await;
    let (tenant, other) = (house.tenant("acme").await, house.tenant("bolt").await);
    for role in Role::OF_TENANT {
        let foreign = house.get(&Person(other, role), &of(tenant)).await;
        assert_eq!(foreign.refusal(), (403, "auth.permission_denied"), "{role:?}");
    }
    for role in [Role::Support, Role::Auditor] {
        let refused = house.get(&Staff(role), &of(tenant)).await;
        assert_eq!(refused.refusal(), (403, "auth.permission_denied"), "{role:?}");
    }
    assert_eq!(house.get(&Stranger, &of(tenant)).await.refusal().0, 401);
    assert_eq!(house.get(&Operator, ABSENT).await.refusal(), (404, "request.not_found"));
    let audit = house.get(&Admin(tenant), "/v1/audit/records?action=tenant.exported").await;
    assert!(audit.column("action").is_empty(), "nothing was begun");
}

#[tokio::test]
async fn a_closed_tenant_can_be_taken_along_and_one_that_is_being_removed_cannot() {
    let house = House::build().await;
    let tenant = with_rows(&house, "acme", 3).await;
    let path = format!("/v1/tenants/{tenant}");
    house.post(&Operator, &format!("{path}/close"), json!({})).await;
    let lines = export(&house, &Operator, &of(tenant)).await;
    assert_eq!(lines[0]["export"]["status"], json!("closing"));
    assert!(lines[lines.len() - 1]["end"].is_object());
    let owners = house.get(&Person(tenant, Role::Owner), "/v1/tenant/export").await;
    assert_eq!(owners.refusal(), (403, "tenant.inactive"), "its people are outside already");
    let purge = format!("{path}?confirm=acme");
    house.send(&Operator, http::Method::DELETE, &purge, &[], None).await;
    for status in ["purging", "purged"] {
        assert_eq!(house.get(&Operator, &path).await.text("status"), status);
        let refused = house.get(&Operator, &of(tenant)).await;
        assert_eq!(refused.refusal(), (409, "request.conflict"), "{status}");
        house.run_jobs_after_s(3).await;
    }
}

/// The first piece of an answer, and the rest.
async fn begun(house: &House, tenant: TenantId) -> BodyDataStream {
    let response = house.open(&Operator, &of(tenant)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let piece = body.next().await.expect("a piece").expect("that arrives");
    assert!(piece.len() < 100 << 10, "{} bytes at once", piece.len());
    body
}

#[tokio::test]
async fn a_reader_who_goes_away_ends_the_work_and_makes_room() {
    let house = House::build().await;
    let tenant = with_rows(&house, "acme", 5_000).await;
    for _ in 0..20 {
        drop(begun(&house, tenant).await);
    }
    let all = export(&house, &Operator, &of(tenant)).await;
    assert!(all[all.len() - 1]["end"].is_object(), "nobody holds a connection or a place");
}

#[tokio::test]
async fn one_export_of_a_tenant_is_under_way_at_a_time() {
    let house = House::build().await;
    let (tenant, other) = (with_rows(&house, "acme", 5_000).await, house.tenant("bolt").await);
    let mut body = begun(&house, tenant).await;
    let second = house.get(&Person(tenant, Role::Owner), "/v1/tenant/export").await;
    assert_eq!(second.refusal(), (429, "request.rate_limited"));
    assert!(house.open(&Operator, &of(other)).await.status().is_success(), "another tenant may");
    while body.next().await.is_some() {}
    export(&house, &Operator, &of(tenant)).await;
}

#[tokio::test]
async fn an_export_that_fails_on_its_way_has_no_last_line() {
    let house = House::build().await;
    let tenant = with_rows(&house, "acme", 5_000).await;
    let mut body = begun(&house, tenant).await;
    house.clock.advance_ms(2 * 3_600_000);
    let mut text = Vec::new();
    let ended = loop {
        match body.next().await {
            Some(Ok(piece)) => text.extend(piece),
            Some(Err(error)) => break Some(error.to_string()),
            None => break None,
        }
    };
    assert!(ended.is_some(), "the connection is cut");
    assert!(!String::from_utf8_lossy(&text).contains("\"end\""));
}
