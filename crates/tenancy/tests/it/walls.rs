//! Room `tenancy`: what the database itself refuses a tenant, whatever a statement says.

use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_store::Error;

use crate::house::{House, owner};

/// Rows that a statement changes or finds inside a tenant; nothing of it is kept.
async fn run(house: &House, inside: TenantId, sql: &str) -> Result<u64, Error> {
    let mut tx = house.db.tenant(&owner(inside)).await.expect("a connection");
    tx.execute(sql, &[]).await
}

fn assert_denied(outcome: &Result<u64, Error>, sql: &str) {
    let Err(Error::Statement(error)) = outcome else { panic!("{sql}: {outcome:?}") };
    let state = error.as_db_error().map(|error| error.code().code());
    assert_eq!(state, Some("42501"), "{sql}");
}

#[tokio::test]
async fn a_tenant_sees_its_own_row_and_no_other() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    let mut tx = house.db.read(&owner(a)).await.expect("a connection");
    for table in ["tenants", "tenant_keys", "tenant_quotas", "audit_records"] {
        let id = if table == "tenants" { "id" } else { "tenant_id" };
        let rows = tx.query(&format!("select {id} from {table}"), &[]).await.expect("reads");
        assert!(!rows.is_empty() && rows.iter().all(|row| row.get::<_, uuid::Uuid>(0) == a.uuid()));
    }
    let other = format!("update tenants set name = 'Mine' where id = '{}'", b.uuid());
    assert_eq!(run(&house, a, &other).await.expect("finds nothing"), 0);
    let everybody = "update tenants set name = 'Mine'";
    assert_eq!(run(&house, a, everybody).await.expect("its own"), 1);
}

#[tokio::test]
async fn a_tenant_decides_neither_its_plan_nor_its_status() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    let moved = format!("update tenants set id = '{}'", b.uuid());
    for sql in [
        "update tenants set plan = 'unlimited'",
        "update tenants set status = 'active'",
        "update tenants set status_reason = null",
        "update tenants set slug = 'better'",
        "update tenants set site_id = 'site_better'",
        "update tenants set created_at = now()",
        &moved,
        "delete from tenants",
        "truncate tenants",
        "insert into tenants (id) values (gen_random_uuid())",
        "select from plans",
        "update plans set limits = '{}'",
        "select from provisionings",
        "select from platform_audit_records",
    ] {
        assert_denied(&run(&house, a, sql).await, sql);
    }
}

#[tokio::test]
async fn a_record_once_written_stays() {
    let house = House::build().await;
    let tenant = house.tenant("acme").await;
    for sql in [
        "update audit_records set actor = 'somebody else'",
        "delete from audit_records",
        "truncate audit_records",
    ] {
        assert_denied(&run(&house, tenant, sql).await, sql);
    }
}

#[tokio::test]
async fn rows_cannot_be_given_to_another_tenant() {
    let house = House::build().await;
    let (a, b) = (house.tenant("a1").await, house.tenant("b1").await);
    for table in ["tenant_keys", "tenant_quotas"] {
        let sql = format!("update {table} set tenant_id = '{}'", b.uuid());
        assert_denied(&run(&house, a, &sql).await, &sql);
    }
    let sql = format!(
        "insert into tenant_quotas (tenant_id, name, max_count, source)
         values ('{}', 'x', 1, 'operator')",
        b.uuid()
    );
    assert_denied(&run(&house, a, &sql).await, &sql);
}

#[tokio::test]
async fn the_platform_reads_no_tenants_keys() {
    let house = House::build().await;
    house.tenant("acme").await;
    let ctx = misy_testkit::platform_ctx();
    for table in ["tenant_keys", "tenant_quotas", "audit_records"] {
        let mut tx = house.db.platform(&ctx).await.expect("a connection");
        let sql = format!("select from {table}");
        assert_denied(&tx.execute(&sql, &[]).await, &sql);
    }
}
