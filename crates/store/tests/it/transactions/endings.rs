//! Room `store`: transactions that end early: dropped, cancelled, panicking.

use std::future::Future;
use std::task::Poll;

use futures_util::poll;
use tokio::task::JoinSet;

use crate::stage::{Stage, add, count, ctx, try_add};

const PID: &str = "select pg_backend_pid() as pid";
const SLEEP: &str = "select pg_sleep(0.2)";
const CONTEXT: &str = "select current_setting('misy.tenant') as tenant";

async fn pid(stage: &Stage, tenant: u128) -> i32 {
    stage.read(tenant).await.query(PID, &[]).await.expect("it answers")[0].get("pid")
}

/// The next user of the only connection is another tenant: it is the same connection, no
/// transaction is open on it, and nothing of the first tenant is there.
async fn assert_clean(stage: &Stage, used: i32) {
    let mut tx = stage.tenant(2).await;
    let rows = tx.query(CONTEXT, &[]).await.expect("it answers");
    assert_eq!(rows[0].get::<_, String>("tenant"), ctx(2).tenant_uuid());
    assert_eq!(count(&mut tx).await, 0);
    add(&mut tx, 7).await;
    tx.commit().await.expect("the connection works");
    assert_eq!(pid(stage, 2).await, used, "the connection was kept");
    let sql =
        format!("select count(*) from pg_stat_activity where pid = {used} and state = 'idle'");
    assert_eq!(stage.number(&sql).await, 1, "no transaction is open");
    assert_eq!((stage.contacts(1).await, stage.contacts(2).await), (0, 1));
}

trait TenantUuid {
    fn tenant_uuid(&self) -> String;
}

impl TenantUuid for misy_core::Ctx {
    fn tenant_uuid(&self) -> String {
        misy_core::id::TypedId::uuid(self.tenant()).to_string()
    }
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    drop(tx);
    assert_clean(&stage, used).await;
}

#[tokio::test]
async fn a_connection_carries_no_tenant_between_its_transactions() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    tx.commit().await.expect("it is kept");
    let mut tx = stage.tenant(1).await;
    tx.query(CONTEXT, &[]).await.expect("it answers");
    // Ends the transaction under the program's feet: what follows is on the bare connection.
    tx.execute("commit", &[]).await.expect("it ends");
    let bare = "select coalesce(current_setting('misy.tenant', true), '') as tenant";
    let rows = tx.query(bare, &[]).await.expect("it answers");
    assert_eq!(rows[0].get::<_, String>("tenant"), "");
}

#[tokio::test]
async fn an_untouched_transaction_leaves_nothing() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    drop(stage.tenant(1).await);
    stage.tenant(1).await.commit().await.expect("nothing to commit is no fault");
    assert_clean(&stage, used).await;
}

#[tokio::test]
async fn a_query_that_is_cancelled_in_mid_flight_leaves_nothing() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    // Prepared before, so that what is cancelled is the query and not its preparation.
    tx.query(SLEEP, &[]).await.expect("it sleeps");
    assert!(is_pending(tx.query(SLEEP, &[])).await, "it was sent and not answered");
    drop(tx);
    assert_clean(&stage, used).await;
}

#[tokio::test]
async fn a_first_statement_that_is_cancelled_leaves_nothing() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    for _ in 0..2 {
        let mut tx = stage.tenant(1).await;
        assert!(is_pending(try_add(&mut tx, 1)).await);
        drop(tx);
    }
    assert_clean(&stage, used).await;
}

#[tokio::test]
async fn a_read_that_is_cancelled_in_mid_flight_leaves_nothing() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    stage.read(1).await.query(SLEEP, &[]).await.expect("it sleeps");
    for _ in 0..3 {
        assert!(is_pending(stage.read(1).await.query(SLEEP, &[])).await);
    }
    assert_clean(&stage, used).await;
}

#[tokio::test]
async fn a_commit_that_is_cancelled_happens_as_a_whole_or_not_at_all() {
    let stage = Stage::narrow().await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    add(&mut tx, 2).await;
    assert!(is_pending(tx.commit()).await);
    let there = stage.contacts(1).await;
    assert!(there == 0 || there == 2, "{there}");
}

#[tokio::test]
async fn a_panic_in_mid_transaction_leaves_nothing() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    let mut tasks = JoinSet::new();
    let db = stage.db.clone();
    tasks.spawn(async move {
        let mut tx = db.tenant(&ctx(1)).await.expect("a connection");
        add(&mut tx, 1).await;
        panic!("on purpose");
    });
    let ended = tasks.join_next().await.expect("one task");
    assert!(ended.is_err_and(|error| error.is_panic()));
    assert_clean(&stage, used).await;
}

#[tokio::test]
async fn a_connection_that_dies_in_mid_transaction_is_replaced() {
    let stage = Stage::narrow().await;
    let used = pid(&stage, 1).await;
    let mut tx = stage.tenant(1).await;
    add(&mut tx, 1).await;
    stage.look(&format!("select pg_terminate_backend({used}, 5000)")).await;
    let error = try_add(&mut tx, 2).await.expect_err("the connection is gone");
    assert_eq!(misy_core::Public::code(&error), misy_core::Code::Unavailable);
    assert!(tx.commit().await.is_err());
    assert_ne!(pid(&stage, 1).await, used);
    assert_eq!(stage.contacts(1).await, 0);
}

#[tokio::test]
async fn a_storm_of_cancellations_mixes_no_tenants_up() {
    let stage = Stage::wide().await;
    let mut tasks = JoinSet::new();
    for worker in 1..=16_u128 {
        let db = stage.db.clone();
        tasks.spawn(async move {
            for round in 0..30_u128 {
                let mut tx = db.tenant(&ctx(worker)).await.expect("a connection");
                if round % 3 == 1 {
                    let _ = is_pending(try_add(&mut tx, round)).await;
                    continue;
                }
                add(&mut tx, round).await;
                if round % 3 == 2 {
                    tx.commit().await.expect("it is kept");
                }
            }
            db
        });
    }
    while let Some(ended) = tasks.join_next().await {
        drop(ended.expect("no worker fails"));
    }
    for worker in 1..=16 {
        assert_eq!(stage.contacts(worker).await, 10);
    }
}

/// Starts a future, lets it go as far as it can at once, and drops it.
async fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    let mut future = std::pin::pin!(future);
    matches!(poll!(&mut future), Poll::Pending)
}
