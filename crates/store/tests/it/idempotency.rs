//! Room `store`: answers to requests that carry an idempotency key.

use misy_store::idempotency::{Answer, Begun, Pending, Scope, begin};
use misy_testkit::platform_ctx;
use serde_json::json;

use crate::stage::{Stage, add, count, ctx};

const KEY: &str = "k-1";
const REQUEST: [u8; 32] = [1; 32];

fn answer(status: u16) -> Answer {
    Answer { status, headers: json!({"content-type": "x"}), body: status.to_be_bytes().to_vec() }
}

async fn begun(stage: &Stage, tenant: u128, key: &str, fingerprint: [u8; 32]) -> Begun {
    begin(&stage.db, Scope::Tenant(ctx(tenant)), key, fingerprint).await.expect("it begins")
}

async fn fresh(stage: &Stage) -> Pending {
    match begun(stage, 1, KEY, REQUEST).await {
        Begun::Fresh(pending) => pending,
        other => panic!("not new: {other:?}"),
    }
}

/// A request that adds one contact.
async fn work(stage: &Stage, id: u128) {
    let mut tx = stage.tenant(1).await;
    add(&mut tx, id).await;
    tx.commit().await.expect("it is kept");
}

async fn is_fresh(stage: &Stage) -> bool {
    matches!(begun(stage, 1, KEY, REQUEST).await, Begun::Fresh(_))
}

async fn replayed(stage: &Stage) -> Option<u16> {
    match begun(stage, 1, KEY, REQUEST).await {
        Begun::Replay(kept) => {
            assert_eq!(kept, answer(kept.status));
            Some(kept.status)
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let stage = Stage::wide().await;
    let pending = fresh(&stage).await;
    pending.run(work(&stage, 1)).await;
    assert_eq!(stage.contacts(1).await, 0, "held back until the answer is there");
    pending.finish(answer(201)).await.expect("both are kept");
    assert_eq!(stage.contacts(1).await, 1);
    assert_eq!(replayed(&stage).await, Some(201));
    assert_eq!(replayed(&stage).await, Some(201));
    assert!(matches!(begun(&stage, 1, KEY, [2; 32]).await, Begun::Mismatch));
    assert!(matches!(begun(&stage, 1, "k-2", REQUEST).await, Begun::Fresh(_)));
    assert!(matches!(begun(&stage, 2, KEY, REQUEST).await, Begun::Fresh(_)), "another tenant's");
}

#[tokio::test]
async fn a_second_request_while_the_first_runs_is_in_flight() {
    let stage = Stage::wide().await;
    let pending = fresh(&stage).await;
    assert!(matches!(begun(&stage, 1, KEY, REQUEST).await, Begun::InFlight));
    pending.run(work(&stage, 1)).await;
    assert!(matches!(begun(&stage, 1, KEY, REQUEST).await, Begun::InFlight));
    pending.finish(answer(200)).await.expect("both are kept");
    assert_eq!(replayed(&stage).await, Some(200));
}

#[tokio::test]
async fn of_many_at_once_one_does_the_work() {
    let stage = Stage::wide().await;
    let all = (0..6).map(|_| begun(&stage, 1, KEY, REQUEST));
    let begun = futures_util::future::join_all(all).await;
    let fresh = begun.iter().filter(|one| matches!(one, Begun::Fresh(_))).count();
    let waiting = begun.iter().filter(|one| matches!(one, Begun::InFlight)).count();
    assert_eq!((fresh, waiting), (1, 5));
}

#[tokio::test]
async fn a_crash_before_the_answer_leaves_neither_work_nor_key() {
    let stage = Stage::narrow().await;
    let pending = fresh(&stage).await;
    pending.run(work(&stage, 1)).await;
    drop(pending);
    assert_eq!(stage.contacts(1).await, 0);
    assert!(is_fresh(&stage).await, "the request may be made again");
}

#[tokio::test]
async fn work_that_commits_nothing_leaves_the_key_unused() {
    let stage = Stage::narrow().await;
    let pending = fresh(&stage).await;
    pending.finish(answer(422)).await.expect("nothing to keep");
    assert!(is_fresh(&stage).await);
    let pending = fresh(&stage).await;
    let refused = async {
        let mut tx = stage.tenant(1).await;
        add(&mut tx, 1).await;
    };
    pending.run(refused).await;
    pending.finish(answer(409)).await.expect("nothing to keep");
    assert_eq!(stage.contacts(1).await, 0);
    assert!(is_fresh(&stage).await);
}

#[tokio::test]
async fn a_second_transaction_makes_the_first_final_and_the_answer_follows() {
    let stage = Stage::wide().await;
    let pending = fresh(&stage).await;
    pending
        .run(async {
            work(&stage, 1).await;
            work(&stage, 2).await;
        })
        .await;
    assert_eq!(stage.contacts(1).await, 2, "both are final");
    assert!(matches!(begun(&stage, 1, KEY, REQUEST).await, Begun::InFlight), "known, unanswered");
    pending.finish(answer(202)).await.expect("the answer is kept");
    assert_eq!(replayed(&stage).await, Some(202));
}

#[tokio::test]
async fn a_crash_after_the_first_of_two_transactions_does_not_repeat_the_work() {
    let stage = Stage::wide().await;
    let pending = fresh(&stage).await;
    let two = async {
        work(&stage, 1).await;
        work(&stage, 2).await;
    };
    pending.run(two).await;
    drop(pending);
    stage.look("update idempotency_keys set created_at = now() - interval '2 minutes'").await;
    assert!(matches!(begun(&stage, 1, KEY, REQUEST).await, Begun::AnswerLost));
}

#[tokio::test]
async fn a_read_after_the_write_sees_it() {
    let stage = Stage::wide().await;
    let pending = fresh(&stage).await;
    let seen = pending
        .run(async {
            work(&stage, 1).await;
            count(&mut stage.read(1).await).await
        })
        .await;
    assert_eq!(seen, 1);
    pending.finish(answer(200)).await.expect("the answer is kept");
    assert_eq!(replayed(&stage).await, Some(200));
}

#[tokio::test]
async fn an_answer_is_forgotten_after_a_day() {
    let stage = Stage::wide().await;
    for (id, key, age) in [(1, "old", "25 hours"), (2, KEY, "23 hours")] {
        let Begun::Fresh(pending) = begun(&stage, 1, key, REQUEST).await else {
            panic!("it is new");
        };
        pending.run(work(&stage, id)).await;
        pending.finish(answer(200)).await.expect("it is kept");
        let sql = format!(
            "update idempotency_keys set created_at = now() - interval '{age}' where key = '{key}'"
        );
        stage.look(&sql).await;
    }
    assert_eq!(replayed(&stage).await, Some(200));
    assert!(matches!(begun(&stage, 1, "old", [9; 32]).await, Begun::Fresh(_)));
    let Begun::Fresh(pending) = begun(&stage, 1, "new", REQUEST).await else {
        panic!("it is new");
    };
    pending.run(work(&stage, 9)).await;
    pending.finish(answer(200)).await.expect("it is kept");
    let old = "select count(*) from idempotency_keys where key = 'old'";
    assert_eq!(stage.number(old).await, 0, "swept with the next answer");
}

#[tokio::test]
async fn an_operators_key_is_kept_apart() {
    let stage = Stage::wide().await;
    let scope = || Scope::Platform(platform_ctx());
    let Ok(Begun::Fresh(pending)) = begin(&stage.db, scope(), KEY, REQUEST).await else {
        panic!("it is new");
    };
    let work = async {
        let tx = stage.db.platform(&platform_ctx()).await;
        let mut tx = tx.expect("a connection");
        tx.execute("insert into schedules (name, period) values ('x', 1)", &[])
            .await
            .expect("kept");
        tx.commit().await.expect("kept");
    };
    pending.run(work).await;
    assert_eq!(stage.number("select count(*) from schedules").await, 0);
    pending.finish(answer(201)).await.expect("both are kept");
    assert_eq!(stage.number("select count(*) from schedules").await, 1);
    let again = begin(&stage.db, scope(), KEY, REQUEST).await.expect("it begins");
    assert!(matches!(again, Begun::Replay(kept) if kept == answer(201)));
    assert!(is_fresh(&stage).await, "a tenant's key of the same name is another");
}

#[tokio::test]
async fn a_key_of_another_tenant_is_another_key_also_while_it_runs() {
    let stage = Stage::wide().await;
    let first = fresh(&stage).await;
    let other = begun(&stage, 2, KEY, REQUEST).await;
    assert!(matches!(other, Begun::Fresh(_)), "{other:?}");
    drop(first);
}

#[tokio::test]
async fn work_for_another_tenant_gets_a_transaction_of_its_own() {
    let stage = Stage::wide().await;
    let pending = fresh(&stage).await;
    let across = async {
        let mut tx = stage.tenant(2).await;
        add(&mut tx, 1).await;
        tx.commit().await.expect("it is kept");
    };
    pending.run(across).await;
    pending.finish(answer(201)).await.expect("it is kept");
    assert_eq!((stage.contacts(1).await, stage.contacts(2).await), (0, 1));
    assert_eq!(replayed(&stage).await, Some(201), "the key is the first tenant's");
}
