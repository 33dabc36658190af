//! Room `jobs`: how jobs come into the queue, and on whose behalf they run.

use misy_core::Role;
use misy_jobs::{Job, PlatformJob};
use misy_testkit::platform_ctx;

use crate::stage::{Act, Stage, Step, Sweep, ctx, tenant};

#[tokio::test]
async fn nothing_is_enqueued_without_a_commit() {
    let stage = Stage::new().await;
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    Step::new(1).enqueue(&mut tx);
    drop(tx);
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 0);
    assert!(stage.diary.entries().is_empty());
}

#[tokio::test]
async fn a_failed_transaction_enqueues_nothing() {
    let stage = Stage::new().await;
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    Step::new(1).enqueue(&mut tx);
    tx.query("select 1/0", &[]).await.unwrap_err();
    tx.commit().await.unwrap_err();
    assert_eq!(stage.queue().await, []);
}

#[tokio::test]
async fn a_job_runs_as_whoever_enqueued_it() {
    let stage = Stage::new().await;
    let enqueuer = ctx(7);
    stage.enqueue(7, Step::new(1)).await;
    stage.worker().run_until_idle().await.unwrap();
    let contexts = stage.diary.contexts();
    let [runner] = &contexts[..] else { panic!("ran {} times", contexts.len()) };
    assert_eq!(runner.tenant(), enqueuer.tenant());
    assert_eq!(runner.actor(), enqueuer.actor());
    assert_eq!(runner.grants(), Role::Owner.grants());
    assert_eq!(runner.request(), enqueuer.request());
    assert_eq!(runner.trace().trace_id, enqueuer.trace().trace_id);
    assert_ne!(runner.trace().span_id, enqueuer.trace().span_id);
}

#[tokio::test]
async fn a_job_may_do_no_more_than_whoever_enqueued_it() {
    let stage = Stage::new().await;
    let viewer = misy_testkit::ctx(tenant(1), Role::Viewer);
    let mut tx = stage.db.tenant(&viewer).await.unwrap();
    Step::new(1).enqueue(&mut tx);
    tx.commit().await.unwrap();
    stage.worker().run_until_idle().await.unwrap();
    assert_eq!(stage.diary.contexts()[0].grants(), Role::Viewer.grants());
}

#[tokio::test]
async fn a_job_works_in_the_tenant_of_its_row_whatever_its_payload_says() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    let forged =
        format!("update jobs set payload = '{{\"tag\": 1, \"tenant\": \"{}\"}}'", tenant(2));
    stage.rows(&forged, &[]).await;
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!((tally.done, stage.diary.contexts()[0].tenant()), (1, tenant(1)));
}

#[tokio::test]
async fn a_tenants_job_without_a_tenant_and_a_platforms_job_with_one_are_buried() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    stage.rows("update jobs set tenant_id = null", &[]).await;
    let mut tx = stage.db.platform(&platform_ctx()).await.unwrap();
    Sweep(2).enqueue(&mut tx);
    tx.commit().await.unwrap();
    let somebodys = "update jobs set tenant_id = $1 where name = 'tests.sweep'";
    stage.rows(somebodys, &[&stage.ambient.uuid()]).await;
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!((tally.buried, stage.diary.entries()), (2, vec![]));
    let rows = stage.rows("select name, error from dead_letters order by error", &[]).await;
    let told: Vec<(String, String)> =
        rows.iter().map(|row| (row.get("name"), row.get("error"))).collect();
    let told: Vec<_> = told.iter().map(|(name, error)| (name.as_str(), error.as_str())).collect();
    let wanted =
        [("tests.sweep", "context.ambiguous_tenant"), ("tests.step", "context.missing_tenant")];
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn a_job_may_enqueue_another() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Enqueue(Step::new(2))]);
    stage.enqueue(1, Step::new(1)).await;
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!((tally.done, stage.diary.entries()), (2, vec![1, 2]));
}

#[tokio::test]
async fn a_job_for_later_runs_when_it_is_due() {
    let stage = Stage::new().await;
    let at = "2026-03-01T13:00:00Z".parse().unwrap();
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    Step::new(1).enqueue_at(&mut tx, at);
    tx.commit().await.unwrap();
    stage.worker().run_until_idle().await.unwrap();
    assert!(stage.diary.entries().is_empty());
    stage.worker().run_until_idle_at(at).await.unwrap();
    assert_eq!(stage.diary.entries(), [1]);
}

#[tokio::test]
async fn a_platform_transaction_enqueues_for_tenants_and_for_itself() {
    let stage = Stage::new().await;
    let mut tx = stage.db.platform(&platform_ctx()).await.unwrap();
    Sweep(1).enqueue(&mut tx);
    Step::new(2).enqueue_across(&mut tx, &ctx(5));
    Sweep(3).enqueue_at(&mut tx, stage.ambient.now());
    tx.commit().await.unwrap();
    let tally = stage.worker().run_until_idle().await.unwrap();
    let mut entries = stage.diary.entries();
    entries.sort_unstable();
    assert_eq!((tally.done, entries), (3, vec![1, 2, 3]));
    assert_eq!(stage.diary.contexts()[0].tenant(), tenant(5));
}

#[tokio::test]
#[should_panic(expected = "name ids, not content")]
async fn a_payload_with_content_is_refused() {
    let stage = Stage::new().await;
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    Step::of(&"x".repeat(3000), 1).enqueue(&mut tx);
}

#[tokio::test]
async fn a_job_that_no_program_knows_waits_for_one_that_does() {
    let stage = Stage::new().await;
    let insert = "insert into jobs (id, tenant_id, state, name, payload, envelope)
        values ($1, $2, 'ready', 'tests.of_tomorrow', '{}', '{}')";
    let (id, owner) = (stage.ambient.uuid(), stage.ambient.uuid());
    stage.rows(insert, &[&id, &owner]).await;
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!(tally.parked, 1);
    let queue = stage.queue().await;
    assert_eq!((queue[0].state.as_str(), queue[0].attempts), ("deferred", 0));
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_buried() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    stage.rows("update jobs set payload = '{\"tag\": \"one\"}'", &[]).await;
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!((tally.buried, stage.diary.entries()), (1, vec![]));
}

#[tokio::test]
async fn a_job_is_announced_once_until_it_is_claimed() {
    let stage = Stage::new().await;
    let announce = async |tenants: &[u128], lane: &str, tag| {
        let mut tx = stage.db.gateway(&platform_ctx()).await.unwrap();
        for number in tenants {
            Step::of(lane, tag).announce(&mut tx, &ctx(*number));
        }
        tx.commit().await.unwrap();
    };
    announce(&[1, 2], "a", 1).await;
    announce(&[1, 2, 3], "a", 2).await;
    announce(&[1], "b", 3).await;
    assert_eq!(stage.queue().await.len(), 4, "one for each tenant and lane");
    stage.rows("update jobs set state = 'blocked'", &[]).await;
    announce(&[1], "a", 4).await;
    assert_eq!(stage.queue().await.len(), 4, "what is behind another is not claimed either");
    let claimed = "update jobs set state = 'running', lease = gen_random_uuid(),
        lease_until = now() + interval '1 hour'";
    stage.rows(claimed, &[]).await;
    announce(&[1], "a", 5).await;
    assert_eq!(stage.queue().await.len(), 5, "whoever runs may have looked already");
    let deferred = "update jobs set state = 'deferred', lease = null, lease_until = null,
        run_at = now() + interval '1 hour'";
    stage.rows(deferred, &[]).await;
    announce(&[1], "a", 6).await;
    assert_eq!(stage.queue().await.len(), 6, "whoever waits for its time is no help now");
}
