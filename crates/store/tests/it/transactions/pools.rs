//! Room `store`: connections that are shared between tenants, and those that take too long.

use std::future::Future;

use futures_util::poll;
use misy_core::{Code, Public};
use misy_store::idempotency::{Begun, Scope, begin};
use misy_store::{Config, Db, TenantTx};
use misy_testkit::{TestDatabase, platform_ctx};

use crate::stage::{add, count, ctx, open};
use crate::wire::wire;

const SLEEP: &str = "select pg_sleep(600)";
const PID: &str = "select pg_backend_pid()";

async fn opened(db: &Db, tenant: u128) -> TenantTx {
    let mut tx = db.tenant(&ctx(tenant)).await.expect("a connection");
    count(&mut tx).await;
    tx
}

async fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
    poll!(std::pin::pin!(future)).is_pending()
}

async fn pid(tx: &mut TenantTx) -> i32 {
    tx.query(PID, &[]).await.expect("it answers")[0].get(0)
}

#[tokio::test]
async fn a_tenant_that_takes_all_it_can_leaves_connections_to_others() {
    let database = TestDatabase::create().await;
    let config =
        Config { tenant_connections: 3, tenant_connections_per_tenant: 2, ..Config::default() };
    let db = open(&database, &config);
    let greedy = [opened(&db, 1).await, opened(&db, 1).await];
    let context = ctx(1);
    let third = db.tenant(&context);
    assert!(is_waiting(third).await, "it has its share");
    for other in 2..=5 {
        opened(&db, other).await.commit().await.expect("there is always one for others");
    }
    drop(greedy);
    opened(&db, 1).await.commit().await.expect("it is its turn again");
}

/// Each holds its connection until it is answered and asks for a second one meanwhile.
#[tokio::test]
async fn keyed_requests_of_one_tenant_do_not_wait_for_each_other_in_a_circle() {
    let database = TestDatabase::create().await;
    let config =
        Config { tenant_connections: 4, tenant_connections_per_tenant: 3, ..Config::default() };
    let db = open(&database, &config);
    let requests = (0..12).map(|number| {
        let db = db.clone();
        async move {
            let scope = Scope::Tenant(ctx(1));
            let begun = begin(&db, scope, &format!("k{number}"), [1; 32]).await;
            let Ok(Begun::Fresh(pending)) = begun else { panic!("not new: {begun:?}") };
            let mut second = db.read(&ctx(1)).await.expect("a second connection");
            count(&mut second).await;
            drop(pending);
        }
    });
    futures_util::future::join_all(requests).await;
}

#[tokio::test]
async fn keyed_requests_of_operators_leave_a_connection_too() {
    let database = TestDatabase::create().await;
    let db = open(&database, &Config { platform_connections: 2, ..Config::default() });
    let requests = (0..4).map(|number| {
        let db = db.clone();
        async move {
            let scope = Scope::Platform(platform_ctx());
            let begun = begin(&db, scope, &format!("k{number}"), [1; 32]).await;
            let Ok(Begun::Fresh(pending)) = begun else { panic!("not new: {begun:?}") };
            db.ping().await.expect("a second connection");
            drop(pending);
        }
    });
    futures_util::future::join_all(requests).await;
}

#[tokio::test]
async fn one_more_than_may_wait_is_told_to_come_back_at_once() {
    let database = TestDatabase::create().await;
    let config = Config {
        tenant_connections: 1,
        waiting_per_tenant: 1,
        wait_ms: 600_000,
        ..Config::default()
    };
    let db = open(&database, &config);
    let holder = opened(&db, 1).await;
    let context = ctx(2);
    let mut first = std::pin::pin!(db.tenant(&context));
    assert!(poll!(&mut first).is_pending());
    let second = db.tenant(&ctx(2)).await.err().expect("one waits already");
    assert_eq!((second.code(), second.retry_after_s()), (Code::Unavailable, Some(1)));
    drop(holder);
    first.await.expect("its turn").commit().await.expect("nothing to keep");
}

/// A client that hangs up would otherwise leave its statement running on a connection of the pool.
#[tokio::test]
async fn a_statement_that_nobody_waits_for_any_more_is_stopped() {
    let database = TestDatabase::create().await;
    let config = Config { tenant_connections: 1, statement_ms: 600_000, ..Config::default() };
    let db = open(&database, &config);
    let superuser = wire(database.superuser()).await;
    for whole in [true, false] {
        let context = ctx(1);
        let mut tx =
            if whole { db.tenant(&context).await } else { db.read(&context).await }.expect("one");
        let used = pid(&mut tx).await;
        let asked = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(asked, tx.query(SLEEP, &[])).await.is_err());
        drop(tx);
        opened(&db, 2).await.commit().await.expect("another is served");
        let gone = "select count(*) from pg_stat_activity where pid = $1";
        while superuser.query_one(gone, &[&used]).await.expect("counted").get::<_, i64>(0) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// What became of a statement whose answer nobody heard is not known, so nothing is committed on
/// top of it.
#[tokio::test]
async fn a_transaction_with_a_cancelled_statement_cannot_be_committed() {
    let database = TestDatabase::create().await;
    let db = open(&database, &Config { tenant_connections: 1, ..Config::default() });
    let mut tx = opened(&db, 1).await;
    add(&mut tx, 1).await;
    assert!(is_waiting(tx.query("select 1/0", &[])).await);
    assert!(matches!(tx.commit().await, Err(misy_store::Error::Aborted)));
    let mut tx = opened(&db, 1).await;
    assert!(is_waiting(tx.query(PID, &[])).await);
    assert!(matches!(tx.query(PID, &[]).await, Err(misy_store::Error::Aborted)));
    drop(tx);
    assert_eq!(count(&mut db.read(&ctx(1)).await.expect("a connection")).await, 0);
}

#[tokio::test]
async fn a_transaction_that_idles_loses_its_connection_and_nobody_gets_that_again() {
    let database = TestDatabase::create().await;
    let config = Config { tenant_connections: 1, idle_in_transaction_ms: 50, ..Config::default() };
    let db = open(&database, &config);
    let superuser = wire(database.superuser()).await;
    let mut tx = opened(&db, 1).await;
    add(&mut tx, 1).await;
    let used = pid(&mut tx).await;
    let there = "select count(*) from pg_stat_activity where pid = $1";
    while superuser.query_one(there, &[&used]).await.expect("counted").get::<_, i64>(0) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let error = tx.query(PID, &[]).await.expect_err("its connection is gone");
    assert_eq!((error.code(), error.retry_after_s()), (Code::Unavailable, Some(1)));
    assert!(tx.commit().await.is_err());
    let mut next = opened(&db, 2).await;
    assert_ne!(pid(&mut next).await, used);
    assert_eq!(count(&mut next).await, 0);
    drop(next);
    assert_eq!(count(&mut db.read(&ctx(1)).await.expect("a connection")).await, 0);
}
