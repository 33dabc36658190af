//! Room `jobs`: schedules enqueue once a period, however many processes there are.

use std::sync::Arc;
use std::time::Duration;

use misy_jobs::{Config, Registry, Worker};

use crate::stage::{Act, Stage, Sweep};

fn scheduler(stage: &Stage) -> Worker {
    let registry: Registry = stage
        .registry()
        .every("tests.hourly", Duration::from_hours(1), Sweep(1))
        .every("tests.daily", Duration::from_hours(24), Sweep(2));
    Worker::new(stage.db.clone(), registry, Config::default(), stage.ambient.clone())
}

#[tokio::test]
async fn a_schedule_enqueues_once_a_period_across_processes() {
    let stage = Stage::new().await;
    let workers = [scheduler(&stage), scheduler(&stage), scheduler(&stage)];
    let mut enqueued = Vec::new();
    for _hour in 0..26 {
        let all = workers.iter().map(Worker::run_schedules);
        let counts = futures_util::future::try_join_all(all).await.unwrap();
        enqueued.push(counts.into_iter().sum::<usize>());
        workers[0].run_until_idle().await.unwrap();
        stage.clock.advance_ms(3_600_000);
    }
    // The clock starts at noon.
    let expected: Vec<usize> =
        (0..26).map(|hour| if hour % 24 == 12 || hour == 0 { 2 } else { 1 }).collect();
    assert_eq!(enqueued, expected);
    assert_eq!(stage.diary.entries().iter().filter(|tag| **tag == 1).count(), 26);
}

#[tokio::test]
async fn a_period_in_which_the_last_run_still_waits_is_left_out() {
    let stage = Stage::new().await;
    let worker = scheduler(&stage);
    worker.run_schedules().await.unwrap();
    stage.clock.advance_ms(3_600_000);
    assert_eq!(worker.run_schedules().await.unwrap(), 0);
    worker.run_until_idle().await.unwrap();
    stage.clock.advance_ms(3_600_000);
    assert_eq!(worker.run_schedules().await.unwrap(), 1);
}

#[tokio::test]
async fn a_started_worker_keeps_its_schedules() {
    let stage = Stage::in_real_time().await;
    stage.diary.script(7, [Act::Wait]);
    let registry = stage.registry().every("tests.often", Duration::from_secs(1), Sweep(7));
    let ambient = stage.ambient.clone();
    let running = Worker::start(stage.db.clone(), registry, Config::default(), ambient);
    stage.diary.until_entered(1).await;
    stage.diary.gate.add_permits(1);
    stage.until(async || stage.diary.entries().len() > 1).await;
    running.stop().await;
}

#[tokio::test]
#[should_panic(expected = "two schedules are named tests.x")]
async fn two_schedules_of_one_name_are_refused() {
    let hour = Duration::from_hours(1);
    let _ = Registry::new().every("tests.x", hour, Sweep(1)).every("tests.x", hour, Sweep(2));
}

#[tokio::test]
#[should_panic(expected = "two jobs are named tests.sweep")]
async fn two_jobs_of_one_name_are_refused() {
    let stage = Stage::new().await;
    let _ = stage.registry().register_platform::<Sweep>(Arc::clone(&stage.diary));
}
