//! Room `store`: what a commit takes with it: jobs, audit records, the count of statements.

use std::sync::Arc;

use misy_core::JobId;
use misy_store::JobRow;
use misy_store::audit::Audit;
use misy_store::meter::Meter;
use misy_testkit::platform_ctx;
use serde_json::json;

use crate::stage::{Stage, add, count, ctx};

fn job(id: JobId, lane: Option<&str>) -> JobRow {
    JobRow {
        id,
        name: "test.job",
        lane: lane.map(str::to_owned),
        payload: json!({"id": 1}),
        envelope: json!({}),
        run_at: None,
    }
}

#[tokio::test]
async fn jobs_and_audit_records_come_with_the_commit_and_not_before() {
    let stage = Stage::wide().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    tx.audit(Audit::new("contact.created", "contact", "c1").with(json!({"fields": 2})));
    tx.audit(Audit::new("contact.read", "contact", "c2"));
    let ids: [JobId; 2] = [tx.ambient().id(), tx.ambient().id()];
    tx.push_job(job(ids[0], Some("lane")));
    tx.push_job(job(ids[1], None));
    let all = "select (select count(*) from jobs) + (select count(*) from audit_records)";
    assert_eq!(stage.number(all).await, 0);
    tx.commit().await.expect("it is kept");
    assert_eq!(stage.number(all).await, 4);
    let rows =
        stage.look("select actor, action, detail::text from audit_records order by id").await;
    assert_eq!(rows[0].get::<_, &str>("actor"), ctx(1).actor().to_string());
    assert_eq!(rows[0].get::<_, &str>("detail"), r#"{"fields": 2}"#);
    assert_eq!(rows[1].get::<_, &str>("action"), "contact.read");
    let jobs = "select count(*) from jobs where state = 'ready' and tenant_id is not null
        and name = 'test.job' and (lane = 'lane' or lane is null)";
    assert_eq!(stage.number(jobs).await, 2);
}

#[tokio::test]
async fn what_waits_for_the_commit_is_gone_without_it() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    tx.audit(Audit::new("contact.created", "contact", "c1"));
    let id = tx.ambient().id();
    tx.push_job(job(id, None));
    drop(tx);
    assert_eq!(stage.contacts(2).await, 0);
    assert_eq!(stage.number("select count(*) from audit_records").await, 0);
    assert_eq!(stage.number("select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn a_commit_that_enqueues_wakes_the_dispatcher_and_another_does_not() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    tx.commit().await.expect("it is kept");
    let heard = futures_util::poll!(std::pin::pin!(stage.db.wake().heard()));
    assert!(heard.is_pending());
    let mut tx = stage.tenant(1).await;
    let id = tx.ambient().id();
    tx.push_job(job(id, None));
    tx.commit().await.expect("it is kept");
    stage.db.wake().heard().await;
}

#[tokio::test]
async fn the_platform_enqueues_for_tenants_and_for_itself_and_keeps_its_own_log() {
    let stage = Stage::narrow().await;
    let mut tx = stage.db.platform(&platform_ctx()).await.expect("a connection");
    let ids: [JobId; 3] = [tx.ambient().id(), tx.ambient().id(), tx.ambient().id()];
    tx.push_job(Some(ctx(1).tenant()), job(ids[0], None));
    tx.push_job(None, job(ids[1], None));
    tx.push_job(Some(ctx(2).tenant()), job(ids[2], None));
    tx.audit(Audit::new("tenant.created", "tenant", "t1"));
    tx.commit().await.expect("it is kept");
    let owners = "select count(distinct owner) from jobs";
    assert_eq!(stage.number(owners).await, 3);
    assert_eq!(stage.number("select count(*) from platform_audit_records").await, 1);
    assert_eq!(stage.number("select count(*) from audit_records").await, 0);
}

#[tokio::test]
async fn the_platform_reads_no_contacts() {
    let stage = Stage::narrow().await;
    let mut tx = stage.db.platform_read(&platform_ctx()).await.expect("a connection");
    assert!(tx.query("select 1 from contacts", &[]).await.is_err());
    assert_eq!(tx.query("select 1 from accounts", &[]).await.expect("control data").len(), 0);
}

#[tokio::test]
async fn a_meter_counts_the_statements_and_rows_of_its_own_work() {
    let stage = Stage::wide().await;
    let meter = Arc::new(Meter::default());
    let work = async {
        let mut tx = stage.tenant(1).await;
        add(&mut tx, 1).await;
        add(&mut tx, 2).await;
        count(&mut tx).await;
        tx.audit(Audit::new("contact.created", "contact", "c1"));
        tx.commit().await.expect("it is kept");
    };
    Arc::clone(&meter).measure(work).await;
    assert_eq!((meter.queries(), meter.rows()), (4, 4));
    stage.contacts(1).await;
    assert_eq!(meter.queries(), 4, "the work of others is not counted here");
}

#[tokio::test]
async fn one_process_hears_what_another_tells() {
    let stage = Stage::wide().await;
    let other = stage.database.db(misy_testkit::ambient());
    let listening = stage.db.listen();
    let mut listening = std::pin::pin!(listening);
    let telling = async {
        loop {
            other.tell().await.expect("it is told");
            let pause = tokio::time::sleep(std::time::Duration::from_millis(20));
            tokio::select! {
                () = stage.db.wake().heard() => break,
                () = pause => {}
            }
        }
    };
    tokio::select! {
        ended = &mut listening => panic!("listening ended: {ended:?}"),
        () = telling => {}
    }
}
