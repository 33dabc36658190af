//! Room `jobs`: what becomes of a job that does not succeed.

use std::sync::Arc;
use std::time::Duration;

use misy_core::Ctx;
use misy_jobs::{Config, Job, JobError, Registry, Tally, Worker};
use serde::{Deserialize, Serialize};

use crate::stage::{Act, Stage, Step, ctx};

const SECOND_MS: i64 = 1_000;

#[tokio::test]
async fn a_failed_attempt_is_repeated_after_a_pause() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Retry]);
    stage.enqueue(1, Step::new(1)).await;
    let first = stage.worker().run_until_idle().await.unwrap();
    assert_eq!(first, Tally { retried: 1, ..Tally::default() });
    stage.clock.advance_ms(7 * SECOND_MS);
    assert_eq!(stage.worker().run_until_idle().await.unwrap(), Tally::default());
    stage.clock.advance_ms(6 * SECOND_MS);
    let second = stage.worker().run_until_idle().await.unwrap();
    assert_eq!(second, Tally { done: 1, ..Tally::default() });
    assert_eq!(stage.queue().await, []);
}

#[tokio::test]
async fn the_other_sides_wish_for_a_longer_pause_is_heeded() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::RetryAfter(Duration::from_secs(90))]);
    stage.enqueue(1, Step::new(1)).await;
    stage.worker().run_until_idle().await.unwrap();
    stage.clock.advance_ms(89 * SECOND_MS);
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 0);
    stage.clock.advance_ms(SECOND_MS);
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 1);
}

#[tokio::test]
async fn the_last_failed_attempt_buries_the_job() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Retry, Act::Retry, Act::Retry, Act::Retry]);
    stage.enqueue(1, Step::new(1)).await;
    let mut total = 0;
    for _ in 0..5 {
        total += stage.worker().run_until_idle().await.unwrap().buried;
        stage.clock.advance_ms(90 * SECOND_MS);
    }
    assert_eq!((total, stage.diary.entries().len()), (1, 3));
    let rows = stage.rows("select attempts, error from dead_letters", &[]).await;
    assert_eq!(rows[0].get::<_, i32>("attempts"), 3);
    assert_eq!(rows[0].get::<_, String>("error"), "the line was busy");
}

#[tokio::test]
async fn a_parked_job_counts_no_attempt() {
    let stage = Stage::new().await;
    let until = |minutes: i64| {
        let at = stage.ambient.now().as_millisecond() + minutes * 60 * SECOND_MS;
        Act::Park(misy_core::Timestamp::from_millisecond(at).unwrap())
    };
    stage.diary.script(1, (1..=5).map(until).chain([Act::Retry]));
    stage.enqueue(1, Step::new(1)).await;
    for _ in 0..5 {
        let tally = stage.worker().run_until_idle().await.unwrap();
        assert_eq!(tally, Tally { parked: 1, ..Tally::default() });
        assert_eq!(stage.queue().await[0].attempts, 0);
        stage.clock.advance_ms(60 * SECOND_MS);
    }
    assert_eq!(stage.worker().run_until_idle().await.unwrap().retried, 1);
    assert_eq!(stage.queue().await[0].attempts, 1);
}

#[tokio::test]
async fn an_impossible_job_is_buried_at_once() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Fail]);
    stage.enqueue(1, Step::new(1)).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap().buried, 1);
    assert_eq!(stage.queue().await, []);
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt() {
    let stage = Stage::new().await;
    stage.diary.script(1, [Act::Panic]);
    stage.enqueue_all(1, [Step::new(1), Step::new(2)]).await;
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!(tally, Tally { done: 1, retried: 1, ..Tally::default() });
    let rows = stage.rows("select last_error from jobs", &[]).await;
    assert_eq!(rows[0].get::<_, String>("last_error"), "it panicked");
}

/// A job that never ends.
#[derive(Serialize, Deserialize)]
struct Endless;

impl Job for Endless {
    const NAME: &'static str = "tests.endless";
    const LIMIT: Duration = Duration::from_millis(1);
    type Deps = ();

    async fn run(self, _ctx: Ctx, _deps: Arc<()>) -> Result<(), JobError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_stopped() {
    let stage = Stage::new().await;
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    Endless.enqueue(&mut tx);
    tx.commit().await.unwrap();
    let registry = Registry::new().register::<Endless>(Arc::new(()));
    let worker = Worker::new(stage.db.clone(), registry, Config::default(), stage.ambient.clone());
    assert_eq!(worker.run_until_idle().await.unwrap().retried, 1);
    let rows = stage.rows("select last_error from jobs", &[]).await;
    assert_eq!(rows[0].get::<_, String>("last_error"), "it ran longer than 0 s");
}
