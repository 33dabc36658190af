//! Room `jobs`: a job is held by one worker at a time.

use misy_jobs::Config;

use crate::stage::{Act, Stage, Step};

/// As if this process had claimed the job and then another had taken it over.
const TAKE_OVER: &str = "update jobs set lease = $1, attempts = attempts + 1";

#[tokio::test]
async fn a_stale_lease_completes_nothing() {
    let stage = Stage::in_real_time().await;
    stage.diary.script(1, [Act::Wait]);
    stage.enqueue(1, Step::new(1)).await;
    let running = stage.start(Config::default());
    stage.diary.until_entered(1).await;
    stage.rows(TAKE_OVER, &[&stage.ambient.uuid()]).await;
    stage.diary.gate.add_permits(1);
    running.stop().await;
    assert_eq!(stage.states().await, ["running"]);
}

#[tokio::test]
async fn work_on_a_job_that_was_taken_over_is_stopped() {
    let stage = Stage::in_real_time().await;
    stage.diary.script(1, [Act::Wait]);
    stage.enqueue(1, Step::new(1)).await;
    // Leases are renewed every tenth of a second.
    let running = stage.start(Config { lease_ms: 300, ..Config::default() });
    stage.diary.until_entered(1).await;
    let far = "update jobs set lease = $1, lease_until = 'infinity'";
    stage.rows(far, &[&stage.ambient.uuid()]).await;
    // Its future is dropped, and with it its hold on the diary.
    let holders = || std::sync::Arc::strong_count(&stage.diary);
    let before = holders();
    stage.until(async || holders() < before).await;
    running.stop().await;
    assert_eq!(stage.states().await, ["running"]);
}

#[tokio::test]
async fn a_job_whose_worker_went_away_runs_again_when_the_lease_is_over() {
    let stage = Stage::new().await;
    stage.enqueue_all(1, [Step::of("a", 1), Step::of("a", 2)]).await;
    let claim = "update jobs set state = 'running', attempts = 1, lease = $1,
        lease_until = $2 where id = (select min(id::text)::uuid from jobs)";
    let until = stage.ambient.now() + std::time::Duration::from_secs(30);
    stage.rows(claim, &[&stage.ambient.uuid(), &until]).await;
    stage.worker().run_until_idle().await.unwrap();
    assert!(stage.diary.entries().is_empty());
    stage.clock.advance_ms(30_000);
    stage.worker().run_until_idle().await.unwrap();
    assert_eq!(stage.diary.entries(), [1, 2]);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_buried_in_the_end() {
    let stage = Stage::new().await;
    stage.enqueue(1, Step::new(1)).await;
    let claim = "update jobs set state = 'running', attempts = 3, lease = $1, lease_until = $2";
    stage.rows(claim, &[&stage.ambient.uuid(), &stage.ambient.now()]).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap().buried, 1);
    assert!(stage.diary.entries().is_empty());
    let rows = stage.rows("select error from dead_letters", &[]).await;
    assert_eq!(rows[0].get::<_, String>("error"), "the workers that held it went away");
}

#[tokio::test]
async fn a_long_job_keeps_its_lease() {
    let stage = Stage::in_real_time().await;
    stage.diary.script(1, [Act::Wait]);
    stage.enqueue(1, Step::new(1)).await;
    let running = stage.start(Config { lease_ms: 2_000, ..Config::default() });
    stage.diary.until_entered(1).await;
    let until = async || {
        let rows = stage.rows("select lease_until from jobs", &[]).await;
        rows[0].get::<_, misy_core::Timestamp>("lease_until")
    };
    let before = until().await;
    stage.until(async || until().await > before).await;
    stage.diary.gate.add_permits(1);
    stage.until_empty().await;
    running.stop().await;
    assert_eq!(stage.diary.entries(), [1]);
}

#[tokio::test]
async fn the_only_worker_takes_back_at_once_what_its_predecessor_held() {
    let stage = Stage::in_real_time().await;
    stage.enqueue(1, Step::new(1)).await;
    let claim = "update jobs set state = 'running', attempts = 1, lease = $1,
        lease_until = now() + interval '1 day'";
    stage.rows(claim, &[&stage.ambient.uuid()]).await;
    let running = stage.start(Config { sole: true, ..Config::default() });
    stage.until_empty().await;
    running.stop().await;
    assert_eq!(stage.diary.entries(), [1]);
}
