//! Room `jobs`: what the roles of the database may do with the queue.

use misy_core::id::TypedId;
use misy_jobs::Job;
use misy_store::Error;
use misy_testkit::platform_ctx;

use crate::stage::{Act, Stage, Step, ctx, tenant};

const INSERT: &str = "insert into jobs (id, tenant_id, state, name, payload, envelope)
    values ($1, $2, 'ready', 'tests.step', '{}', '{}')";

async fn as_tenant(stage: &Stage, sql: &str) -> Result<u64, Error> {
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    let rows = tx.execute(sql, &[]).await?;
    tx.commit().await?;
    Ok(rows)
}

#[tokio::test]
async fn the_role_that_claims_jobs_can_read_no_table_of_tenants() {
    let stage = Stage::new().await;
    let tables = "select c.relname::text as name from pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and exists (
            select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant_isolation')";
    let names: Vec<String> =
        stage.rows(tables, &[]).await.iter().map(|row| row.get("name")).collect();
    assert!(names.iter().any(|name| name == "messages"), "{names:?}");
    for name in names {
        let mut tx = stage.db.platform_read(&platform_ctx()).await.unwrap();
        let read = tx.query(&format!("select * from {name}"), &[]).await;
        assert!(read.is_err(), "misy_platform can read {name}");
    }
}

#[tokio::test]
async fn a_tenant_can_neither_read_nor_change_nor_remove_jobs() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    for sql in [
        "select * from jobs",
        "update jobs set payload = '{}'",
        "delete from jobs",
        "truncate jobs",
        "update dead_letters set error = ''",
        "delete from dead_letters",
        "select * from schedules",
    ] {
        assert!(as_tenant(&stage, sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_tenant_can_enqueue_for_nobody_else() {
    let stage = Stage::new().await;
    for owner in [Some(tenant(2).uuid()), None] {
        let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
        let id = stage.ambient.uuid();
        assert!(tx.execute(INSERT, &[&id, &owner]).await.is_err(), "{owner:?}");
    }
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    let id = stage.ambient.uuid();
    tx.execute(INSERT, &[&id, &Some(tenant(1).uuid())]).await.unwrap();
}

#[tokio::test]
async fn a_tenant_cannot_make_a_job_that_counts_as_running() {
    let stage = Stage::new().await;
    let sql = "insert into jobs (id, tenant_id, state, name, payload, envelope, lease)
        values ($1, $2, 'running', 'tests.step', '{}', '{}', $1)";
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    let id = stage.ambient.uuid();
    assert!(tx.execute(sql, &[&id, &tenant(1).uuid()]).await.is_err());
}

#[tokio::test]
async fn a_tenant_sees_its_own_dead_letters_only() {
    let stage = Stage::new().await;
    for number in [1, 2] {
        stage.diary.script(u32::try_from(number).unwrap(), [Act::Fail]);
        stage.enqueue(number, Step::new(u32::try_from(number).unwrap())).await;
    }
    assert_eq!(stage.worker().run_until_idle().await.unwrap().buried, 2);
    let mut tx = stage.db.read(&ctx(1)).await.unwrap();
    let rows = tx.query("select tenant_id from dead_letters", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, uuid::Uuid>("tenant_id"), tenant(1).uuid());
}

#[tokio::test]
async fn a_payload_with_content_is_refused_by_the_database_as_well() {
    let stage = Stage::new().await;
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    let small = Step::of("a", 1).enqueue(&mut tx);
    tx.commit().await.unwrap();
    let payload = serde_json::json!({ "text": "x".repeat(3000) });
    let grow = "update jobs set payload = $2 where id = $1";
    let mut tx = stage.db.platform(&platform_ctx()).await.unwrap();
    assert!(tx.execute(grow, &[&small.uuid(), &payload]).await.is_err());
}
