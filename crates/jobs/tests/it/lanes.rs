//! Room `jobs`: jobs of a lane run one after another.

use misy_jobs::{Config, Job};

use crate::stage::{Act, Stage, Step, ctx};

#[tokio::test]
async fn a_lane_keeps_its_order() {
    let stage = Stage::new().await;
    let steps = (1..=40).flat_map(|tag| [Step::of("a", tag), Step::of("b", 100 + tag)]);
    stage.enqueue_all(1, steps).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 80);
    let (a, b): (Vec<u32>, Vec<u32>) = stage.diary.entries().iter().partition(|tag| **tag < 100);
    assert_eq!(a, (1..=40).collect::<Vec<_>>());
    assert_eq!(b, (101..=140).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_job_that_is_retried_holds_its_lane_and_no_other() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Retry]);
    stage
        .enqueue_all(1, [Step::of("a", 1), Step::of("a", 2), Step::of("b", 3), Step::new(4)])
        .await;
    stage.enqueue(2, Step::of("a", 5)).await;
    stage.worker().run_until_idle().await.unwrap();
    let mut entries = stage.diary.entries();
    entries.sort_unstable();
    assert_eq!(entries, [1, 3, 4, 5]);
    stage.clock.advance_ms(20_000);
    stage.worker().run_until_idle().await.unwrap();
    assert_eq!(stage.diary.entries()[4..], [1, 2]);
}

#[tokio::test]
async fn a_job_that_gives_up_frees_its_lane() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Fail]);
    stage.enqueue_all(1, [Step::of("a", 1), Step::of("a", 2)]).await;
    stage.worker().run_until_idle().await.unwrap();
    assert_eq!(stage.diary.entries(), [1, 2]);
}

#[tokio::test]
async fn a_parked_job_holds_its_lane() {
    let stage = Stage::new().await;
    let until = "2026-03-02T00:00:00Z".parse().unwrap();
    stage.diary.script(1, [Act::Park(until)]);
    stage.enqueue_all(1, [Step::of("a", 1), Step::of("a", 2)]).await;
    stage.worker().run_until_idle().await.unwrap();
    assert_eq!(stage.states().await, ["deferred", "blocked"]);
    stage.worker().run_until_idle_at(until).await.unwrap();
    assert_eq!(stage.diary.entries(), [1, 1, 2]);
}

#[tokio::test]
async fn a_late_commit_with_an_early_id_does_not_run_beside_its_lane() {
    let stage = Stage::in_real_time().await;
    let mut late = stage.db.tenant(&ctx(1)).await.unwrap();
    Step::of("a", 1).enqueue(&mut late);
    stage.diary.script(2, [Act::Wait]);
    stage.enqueue_all(1, [Step::of("a", 2), Step::of("a", 3)]).await;
    let running = stage.start(Config::default());
    stage.diary.until_entered(1).await;
    late.commit().await.unwrap();
    stage.until(async || stage.states().await == ["blocked", "running", "blocked"]).await;
    stage.diary.gate.add_permits(1);
    stage.until_empty().await;
    running.stop().await;
    assert_eq!(stage.diary.entries(), [2, 1, 3]);
}

#[tokio::test]
async fn two_running_jobs_in_a_lane_are_refused_by_the_database() {
    let stage = Stage::new().await;
    stage.enqueue_all(1, [Step::of("a", 1), Step::of("a", 2)]).await;
    let mut tx = stage.db.platform(&misy_testkit::platform_ctx()).await.unwrap();
    let lease = stage.ambient.uuid();
    let both = tx.execute("update jobs set state = 'running', lease = $1", &[&lease]).await;
    assert_eq!(both.unwrap_err().unique_violation(), Some("jobs_running_lane_idx"));
}

#[tokio::test]
async fn a_lane_whose_first_job_was_removed_by_hand_goes_on() {
    let stage = Stage::in_real_time().await;
    stage.diary.script(1, [Act::Retry]);
    stage.enqueue_all(1, [Step::of("a", 1), Step::of("a", 2)]).await;
    stage.worker().run_until_idle().await.unwrap();
    stage.rows("delete from jobs where state = 'deferred'", &[]).await;
    assert_eq!(stage.states().await, ["blocked"]);
    let running = stage.start(Config::default());
    stage.until_empty().await;
    running.stop().await;
    assert_eq!(stage.diary.entries(), [1, 2]);
}
