//! Room `tenancy`: what is gone is gone everywhere, and what is taken along is complete.

use std::collections::BTreeMap;

use http::Method;
use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_store::documents::Kind;
use misy_store::tenant_data::Sink;
use misy_tenancy::{exports, inventories};
use misy_testkit::platform_ctx;
use serde_json::{Value, json};

use crate::house::{Admin, House, Operator, owner, wanted};

const NOTES: Kind = Kind::new("notes", &[]);

const CANARY: &str = "canary-7f3d9a";

/// A tenant whose name, people, rows, documents, values and jobs hold a word of its own.
async fn with_canaries(house: &House) -> TenantId {
    let mut body = wanted("acme");
    body["name"] = json!(CANARY);
    body["business"] = json!({ "motto": CANARY });
    body["brand"] = json!({ "name": CANARY });
    body["contacts"] =
        json!([{ "role": "billing", "name": CANARY, "email": format!("{CANARY}@acme.example") }]);
    let tenant = house.post(&Operator, "/v1/tenants", body).await.id();
    let inside = owner(tenant);
    let notes = house.documents.of(&inside).collection(NOTES);
    let id = house.deps.ambient.uuid();
    notes.put(id, &json!({ "text": CANARY })).await.expect("it is kept");
    let mut tx = house.db.tenant(&inside).await.expect("a connection");
    let key = [&tenant.uuid() as _, &CANARY as &(dyn misy_store::ToSql + Sync)];
    tx.execute("insert into tenant_secrets values ($1, 'other', $2::text::bytea)", &key)
        .await
        .expect("a row");
    tx.execute(
        "insert into jobs (id, tenant_id, state, name, payload, envelope)
         values (gen_random_uuid(), $1, 'ready', $2, '{}', '{}')",
        &key,
    )
    .await
    .expect("a row");
    tx.commit().await.expect("it commits");
    tenant
}

/// Every row of every table, as the database's owner sees it, in which the word occurs.
async fn tables_with(house: &House, word: &str) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "only a superuser sees every row")]
    let connecting = house.database.superuser().connect(tokio_postgres::NoTls);
    let (client, connection) = connecting.await.expect("it connects");
    let word = word.to_owned();
    let work = async move {
        let tables = "select tablename from pg_tables where schemaname = 'public' order by 1";
        let mut found = Vec::new();
        for row in client.query(tables, &[]).await? {
            let table: String = row.get(0);
            let hits = format!(
                "select count(*) from {table} one where position($1 in one::text) > 0
                 or position(encode($1::text::bytea, 'hex') in one::text) > 0"
            );
            let count: i64 = client.query_one(&hits, &[&word]).await?.get(0);
            if count > 0 {
                found.push(table);
            }
        }
        drop(client);
        Ok::<_, tokio_postgres::Error>(found)
    };
    futures_util::try_join!(work, connection).expect("it looks").0
}

async fn close_and_purge(house: &House, tenant: TenantId) {
    let path = format!("/v1/tenants/{tenant}");
    let closed = house.post(&Operator, &format!("{path}/close"), json!({})).await;
    assert_eq!(closed.text("status"), "closing");
    let path = format!("{path}?confirm=acme");
    let purging = house.send(&Operator, Method::DELETE, &path, &[], None).await;
    assert_eq!((purging.status.as_u16(), purging.text("status")), (202, "purging"));
}

#[tokio::test]
async fn of_a_purged_tenant_no_byte_is_left_but_its_tombstone_and_the_logs() {
    let house = House::build().await;
    let (tenant, neighbour) = (with_canaries(&house).await, house.tenant("bolt").await);
    let before = tables_with(&house, CANARY).await;
    for table in ["documents", "jobs", "tenant_secrets", "tenants"] {
        assert!(before.iter().any(|one| one == table), "the canary sings in {table}: {before:?}");
    }
    close_and_purge(&house, tenant).await;
    let news = house.run_jobs_after_s(1).await;
    assert_eq!(news, 1, "that it was closed; those who are inside come to an end first");
    assert!(house.run_jobs_after_s(2).await > 0);
    assert_eq!(tables_with(&house, CANARY).await, Vec::<String>::new());
    let id = tenant.uuid().to_string();
    let named = tables_with(&house, &id).await;
    let logs = ["audit_records", "plan_changes", "saga_steps", "sagas", "tenants", "tombstones"];
    assert_eq!(named, logs, "only what says that it was there");
    let inventory = house.get(&Operator, &format!("/v1/tenants/{tenant}/inventory")).await;
    assert_eq!((inventory.text("status"), &inventory.body["sound"]), ("purged", &json!(true)));
    let other = house.get(&Operator, &format!("/v1/tenants/{neighbour}/inventory")).await;
    assert_eq!((other.text("status"), &other.body["sound"]), ("active", &json!(true)));
}

#[tokio::test]
async fn a_destruction_report_tells_what_was_there_and_what_remains() {
    let house = House::build().await;
    let tenant = with_canaries(&house).await;
    close_and_purge(&house, tenant).await;
    house.run_jobs_after_s(3).await;
    let life = house.get(&Operator, &format!("/v1/tenants/{tenant}/lifecycle")).await;
    assert!(life.body["purged_at"].is_string(), "{}", life.body);
    let count = |list: &str, what: &str| {
        let list = life.body["report"][list].as_array().expect("a list");
        list.iter().find(|one| one["what"] == what).map(|one| one["count"].clone())
    };
    assert_eq!(count("destroyed", "tenant_keys"), Some(json!(1)));
    assert_eq!(count("destroyed", "tenant_secrets"), Some(json!(2)));
    assert_eq!(count("destroyed", "documents"), Some(json!(1)));
    assert_eq!(count("destroyed", "jobs"), Some(json!(1)));
    assert!(count("retained", "audit_records").is_some());
    assert_eq!(count("retained", "tenant_keys"), None);
    let shown = house.get(&Operator, &format!("/v1/tenants/{tenant}")).await;
    assert_eq!((shown.text("slug"), shown.text("name")), ("acme", "acme"), "the rest is scrubbed");
    assert_ne!(house.tenant("acme").await, tenant, "the slug is free again");
}

#[tokio::test]
async fn a_closed_tenant_is_removed_when_its_time_is_over_and_not_before() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let path = format!("/v1/tenants/{tenant}");
    house.post(&Operator, &format!("{path}/close"), json!({ "grace_days": 1 })).await;
    let status = async || house.get(&Operator, &path).await.text("status").to_owned();
    house.clock.advance_ms(23 * 3_600_000);
    house.run_schedules().await;
    house.run_jobs_after_s(0).await;
    assert_eq!(status().await, "closing");
    house.clock.advance_ms(2 * 3_600_000);
    house.run_schedules().await;
    house.run_jobs_after_s(0).await;
    assert_eq!(status().await, "purging");
    house.run_jobs_after_s(3).await;
    assert_eq!(status().await, "purged");
}

/// Keeps what it is given.
#[derive(Default)]
struct Kept(BTreeMap<String, Vec<Value>>);

#[async_trait::async_trait]
impl Sink for Kept {
    async fn rows(&mut self, table: &str, rows: Vec<Value>) -> std::io::Result<()> {
        self.0.entry(table.to_owned()).or_default().extend(rows);
        Ok(())
    }
}

#[tokio::test]
async fn an_export_holds_every_row_and_no_secret() {
    let house = House::build().await;
    let (tenant, neighbour) = (with_canaries(&house).await, house.tenant("bolt").await);
    let mut kept = Kept::default();
    let export = exports::service::begin(&house.deps, &platform_ctx(), tenant).await;
    export.expect("it may").write(&house.deps, &mut kept).await.expect("it is taken along");
    assert_eq!(kept.0["tenants"].len(), 1);
    assert_eq!(kept.0["tenants"][0]["name"], CANARY);
    assert_eq!(kept.0["notes"][0]["body"]["text"], CANARY);
    assert_eq!(kept.0["tenant_secrets"].len(), 2);
    for (table, rows) in &kept.0 {
        for row in rows {
            for secret in ["sealed", "wrapped", "password_hash", "secret_hash"] {
                assert!(row.get(secret).is_none(), "{table} shows {secret}");
            }
            let text = row.to_string();
            assert!(!text.contains(&neighbour.uuid().to_string()), "{table} shows another's row");
        }
    }
    let audit = house.get(&Admin(tenant), "/v1/audit/records?action=tenant.exported").await;
    assert_eq!(audit.column("action"), ["tenant.exported"], "the tenant sees that it was done");
}

#[tokio::test]
async fn what_is_missing_is_made_again_and_what_is_left_over_goes() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    tx.execute("delete from document_homes", &[]).await.expect("rows");
    tx.commit().await.expect("it commits");
    let path = format!("/v1/tenants/{tenant}/inventory");
    assert_eq!(house.get(&Operator, &path).await.body["sound"], json!(false));
    let mend = async || inventories::service::mend(&house.deps, &platform_ctx(), tenant).await;
    assert_eq!(mend().await.expect("it mends"), inventories::service::Outcome::Repaired);
    assert_eq!(mend().await.expect("it looks"), inventories::service::Outcome::Sound);
    let mut tx = house.db.tenant(&owner(tenant)).await.expect("a connection");
    tx.execute("delete from tenant_keys", &[]).await.expect("rows");
    tx.commit().await.expect("it commits");
    assert_eq!(mend().await.expect("it looks"), inventories::service::Outcome::Drifted);
    close_and_purge(&house, tenant).await;
    house.run_jobs_after_s(3).await;
    let inside = platform_ctx().enter(tenant, misy_core::Grants::NONE);
    let mut tx = house.db.tenant(&inside).await.expect("a connection");
    let row = "insert into tenant_quotas values ($1, 'users', 1, 'plan')";
    tx.execute(row, &[&tenant.uuid()]).await.expect("a row of nobody");
    tx.commit().await.expect("it commits");
    assert_eq!(house.get(&Operator, &path).await.body["sound"], json!(false));
    assert_eq!(mend().await.expect("it mends"), inventories::service::Outcome::Repaired);
    assert_eq!(house.get(&Operator, &path).await.body["sound"], json!(true));
}
