//! Room `jobs`: jobs that gave up are found and run again.

use misy_core::{Limit, Role};
use misy_jobs::dead_letters::{self, Filter};
use misy_testkit::platform_ctx;

use crate::stage::{Act, Stage, Step, ctx, tenant};

async fn with_dead_letters(tags: std::ops::Range<u32>) -> Stage {
    let stage = Stage::new().await;
    for tag in tags.clone() {
        stage.diary.script(tag, [Act::Fail]);
    }
    stage.enqueue_all(1, tags.map(Step::new)).await;
    stage.worker().run_until_idle().await.unwrap();
    stage
}

async fn replay(stage: &Stage, filter: Filter) {
    let mut tx = stage.db.tenant(&ctx(1)).await.unwrap();
    dead_letters::replay(&mut tx, filter).unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_listed_page_by_page_newest_first() {
    let stage = with_dead_letters(0..5).await;
    let mut tx = stage.db.read(&ctx(1)).await.unwrap();
    let limit = Limit::new(3).unwrap();
    let first = dead_letters::list(&mut tx, None, limit).await.unwrap();
    let cursor = misy_core::Cursor::decode(&first.next_cursor.unwrap());
    let second = dead_letters::list(&mut tx, cursor, limit).await.unwrap();
    let ids: Vec<_> = first.data.iter().chain(&second.data).map(|letter| letter.id).collect();
    assert_eq!((ids.len(), second.next_cursor), (5, None));
    assert!(ids.is_sorted_by(|newer, older| newer > older));
    assert_eq!(first.data[0].error, "no such thing");
    assert_eq!(dead_letters::find(&mut tx, ids[2]).await.unwrap().unwrap().id, ids[2]);
}

#[tokio::test]
async fn one_dead_letter_is_replayed_and_recorded() {
    let stage = with_dead_letters(0..3).await;
    let mut tx = stage.db.read(&ctx(1)).await.unwrap();
    let letters = dead_letters::list(&mut tx, None, Limit::DEFAULT).await.unwrap().data;
    replay(&stage, Filter { id: Some(letters[2].id), ..Filter::default() }).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 2);
    assert_eq!(stage.diary.entries()[3..], [0]);
    let mut tx = stage.db.read(&ctx(1)).await.unwrap();
    assert_eq!(dead_letters::find(&mut tx, letters[2].id).await.unwrap(), None);
    let records = tx.query("select resource_id from audit_records", &[]).await.unwrap();
    assert_eq!(records[0].get::<_, String>("resource_id"), letters[2].id.to_string());
}

#[tokio::test]
async fn dead_letters_are_replayed_by_name_and_time_in_their_first_order() {
    let stage = with_dead_letters(0..3).await;
    let other = Filter { name: Some("tests.other".into()), ..Filter::default() };
    replay(&stage, other).await;
    let later = stage.ambient.now() + std::time::Duration::from_secs(1);
    replay(&stage, Filter { since: Some(later), ..Filter::default() }).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 2);
    let since = Some(stage.ambient.now());
    replay(&stage, Filter { name: Some("tests.step".into()), since, ..Filter::default() }).await;
    assert_eq!(stage.worker().run_until_idle().await.unwrap().done, 4);
    assert_eq!(stage.diary.entries()[3..], [0, 1, 2]);
}

#[tokio::test]
async fn replaying_needs_its_permission() {
    let stage = with_dead_letters(0..1).await;
    let supervisor = misy_testkit::ctx(tenant(1), Role::Supervisor);
    let mut tx = stage.db.tenant(&supervisor).await.unwrap();
    dead_letters::replay(&mut tx, Filter::default()).unwrap_err();
}

#[tokio::test]
async fn another_tenants_replay_touches_nothing() {
    let stage = with_dead_letters(0..2).await;
    let revive = async |number| {
        let filter = Filter::default();
        dead_letters::revive(&stage.db, &platform_ctx(), Some(tenant(number)), &filter).await
    };
    assert_eq!(revive(2).await.unwrap(), 0);
    assert_eq!(revive(1).await.unwrap(), 2);
    let tally = stage.worker().run_until_idle().await.unwrap();
    assert_eq!((tally.done, stage.diary.entries().len()), (2, 4));
}
