//! Room `jobs`: a worker stops without losing or repeating anything, and bears a broken connection.

use misy_jobs::Config;

use crate::stage::{Act, Stage, Step, rows};

#[tokio::test]
async fn a_stopping_worker_lets_running_jobs_finish_and_gives_back_the_rest() {
    let stage = Stage::in_real_time().await;
    for tag in 0..20 {
        stage.diary.script(tag, [Act::Wait]);
    }
    stage.enqueue_all(1, (0..20).map(Step::new)).await;
    let running = stage.start(Config { concurrency: 4, prefetch: 40, ..Config::default() });
    stage.diary.until_entered(2).await;
    let stopping = running.stop();
    let opening = async {
        stage
            .until(async || stage.states().await.iter().filter(|one| *one == "ready").count() == 18)
            .await;
        stage.diary.gate.add_permits(2);
    };
    tokio::join!(stopping, opening);
    let queue = stage.queue().await;
    assert_eq!(queue.len(), 18);
    assert!(queue.iter().all(|seen| seen.state == "ready" && seen.attempts == 0), "{queue:?}");
}

#[tokio::test]
async fn a_job_that_does_not_end_in_time_is_given_back_without_counting_an_attempt() {
    let stage = Stage::in_real_time().await;
    stage.diary.script(1, [Act::Wait]);
    stage.enqueue_all(1, [Step::of("a", 1), Step::of("a", 2)]).await;
    let running = stage.start(Config { drain_ms: 1, ..Config::default() });
    stage.diary.until_entered(1).await;
    running.stop().await;
    let queue = stage.queue().await;
    assert!(queue.iter().all(|seen| seen.state != "running" && seen.attempts == 0), "{queue:?}");
    stage.worker().run_until_idle().await.unwrap();
    assert_eq!(stage.diary.entries(), [1, 1, 2]);
}

#[tokio::test]
async fn a_worker_that_is_dropped_stops_too() {
    let stage = Stage::in_real_time().await;
    drop(stage.start(Config::default()));
    // It leaves nothing behind that could claim; the diary is let go by the last of it.
    stage.until(async || std::sync::Arc::strong_count(&stage.diary) == 1).await;
    stage.enqueue(1, Step::new(1)).await;
    assert_eq!(stage.states().await, ["ready"]);
}

/// Connections of the worker die while it completes; every job is completed all the same, and none
/// of those that ran runs again.
#[tokio::test]
async fn completions_survive_broken_connections() {
    let stage = Stage::in_real_time().await;
    for tag in 0..30 {
        stage.diary.script(tag, [Act::Wait]);
    }
    stage.enqueue_all(1, (0..30).map(Step::new)).await;
    let running = stage.start(Config { concurrency: 64, ..Config::default() });
    stage.diary.until_entered(30).await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity
        where usename = current_user and pid <> pg_backend_pid() and datname = current_database()";
    let killer = stage.database.db(stage.ambient.clone());
    for _ in 0..10 {
        stage.diary.gate.add_permits(3);
        rows(&killer, kill, &[]).await;
    }
    stage.until(async || rows(&killer, "select from jobs", &[]).await.is_empty()).await;
    running.stop().await;
    assert_eq!(stage.diary.entries().len(), 30);
}
