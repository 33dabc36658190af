//! Room `jobs`: one tenant's backlog delays nobody else.

use std::collections::HashMap;

use misy_core::id::TypedId;
use misy_jobs::Config;

use crate::stage::{Act, Stage, Step};

const BACKLOG: u32 = 1_000;

/// Tells a quiet tenant's job from the others.
const QUIET: u32 = 1_000_000;

#[tokio::test]
async fn every_tenant_behind_a_backlog_is_served_in_the_first_claims() {
    let stage = Stage::new().await;
    stage.enqueue_all(1, (0..BACKLOG).map(Step::new)).await;
    for number in 2..=150 {
        stage.enqueue(number, Step::new(QUIET + u32::try_from(number).unwrap())).await;
    }
    stage.worker().run_until_idle().await.unwrap();
    let entries = stage.diary.entries();
    let last = entries.iter().rposition(|tag| *tag > QUIET).unwrap();
    assert!(last < 400, "the last quiet tenant came as number {last}");
    assert_eq!(entries.len(), 149 + BACKLOG as usize);
}

#[tokio::test]
async fn tenants_with_backlogs_go_forward_side_by_side() {
    let stage = Stage::new().await;
    for number in 1..=5 {
        stage.enqueue_all(number, (0..100).map(Step::new)).await;
    }
    stage.worker().run_until_idle().await.unwrap();
    let contexts = stage.diary.contexts();
    let mut served: HashMap<_, u32> = HashMap::new();
    for (position, ctx) in contexts.iter().enumerate().take(400) {
        *served.entry(ctx.tenant().uuid()).or_default() += 1;
        let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
        assert!(served.len() < 5 || most - least <= 20, "at {position}: {served:?}");
    }
}

#[tokio::test]
async fn slow_jobs_of_some_tenants_leave_room_for_another() {
    let stage = Stage::in_real_time().await;
    for tag in 0..120 {
        stage.diary.script(tag, [Act::Wait]);
    }
    let running = stage.start(Config { concurrency: 12, prefetch: 24, ..Config::default() });
    // One alone has half of the places, two have a third each.
    stage.enqueue_all(1, (0..60).map(Step::new)).await;
    stage.diary.until_entered(6).await;
    stage.enqueue_all(2, (60..120).map(Step::new)).await;
    stage.diary.until_entered(4).await;
    stage.enqueue(3, Step::new(QUIET)).await;
    stage.until(async || stage.diary.entries().contains(&QUIET)).await;
    stage.diary.gate.add_permits(120);
    stage.until_empty().await;
    running.stop().await;
    assert_eq!(stage.diary.entries().len(), 121);
}

#[tokio::test]
async fn a_worker_with_one_place_works_off_everything() {
    let stage = Stage::in_real_time().await;
    stage.enqueue_all(1, (0..20).map(Step::new)).await;
    stage.enqueue_all(2, (20..40).map(|tag| Step::of("a", tag))).await;
    let running = stage.start(Config { concurrency: 1, prefetch: 0, ..Config::default() });
    stage.until_empty().await;
    running.stop().await;
    assert_eq!(stage.diary.entries().len(), 40);
}
