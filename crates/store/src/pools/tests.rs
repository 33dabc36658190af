//! Room `store`: what the next user of a connection finds on it, seen below the door, where no
//! tenant is set first.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_core::{Ctx, Role, TenantId};
use misy_testkit::{TestDatabase, ambient};
use tokio::task::JoinSet;
use tokio_postgres::SimpleQueryMessage;

use crate::audit::Audit;
use crate::idempotency::{self, Answer, Begun, Scope};
use crate::{Db, JobRow};

use super::*;

const INSERT: &str = "insert into contacts (tenant_id, id, display_name) values ($1, $2, 'x')";
const COUNT: &str = "select count(*) from contacts where tenant_id = $1";
const LOOK: &str = "
    select pg_backend_pid() as pid, coalesce(current_setting('misy.tenant', true), '') as tenant,
        transaction_timestamp() < statement_timestamp() as in_transaction";

/// A door whose pools have one connection each.
struct Stage {
    database: TestDatabase,
    db: Db,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    tenant: String,
    in_transaction: bool,
}

const CLEAN: Found = Found { tenant: String::new(), in_transaction: false };

impl Stage {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        // What the kit of tests signs in with; this crate's own type of it.
        let passwords = RolePasswords::derive(&Key::new([0x7e; 32]));
        let config = Config {
            tenant_connections: 1,
            platform_connections: 1,
            wait_ms: 20_000,
            ..Config::default()
        };
        let db = Db::open(database.superuser(), &passwords, &config, ambient());
        Self { database, db }
    }

    /// Looks at that very connection without the door, as its next user finds it.
    async fn look(&self) -> (String, Found) {
        let lent =
            self.db.tenant_pool().lend(Uuid::nil(), Hold::Brief).await.expect("a connection");
        // As one simple query: in the extended protocol a transaction begins with the parsing.
        let answer = lent.simple_query(LOOK).await.expect("it answers");
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let field = |name: &str| row.and_then(|row| row.get(name)).expect("a value").to_owned();
        let in_transaction = field("in_transaction") == "t";
        (field("pid"), Found { tenant: field("tenant"), in_transaction })
    }

    async fn number(&self, sql: &str) -> i64 {
        let rows = misy_testkit::postgres::query(self.database.superuser(), sql).await;
        rows.expect("it counts")[0].get(0)
    }
}

fn ctx() -> Ctx {
    misy_testkit::ctx(TenantId::from_uuid(Uuid::from_u128(1)), Role::Owner)
}

fn job(db: &Db) -> JobRow {
    JobRow {
        id: db.ambient().id(),
        name: "test.job",
        lane: None,
        payload: serde_json::json!({}),
        envelope: serde_json::json!({}),
        run_at: None,
    }
}

/// Everything that a transaction does: statements, a statement that fails, jobs and audit records
/// with the commit.
async fn whole(db: Db) {
    let tenant = ctx().tenant().uuid();
    let mut tx = db.tenant(&ctx()).await.expect("a connection");
    let id: Uuid = db.ambient().uuid();
    tx.execute(INSERT, &[&tenant, &id]).await.expect("it is written");
    tx.query(COUNT, &[&tenant]).await.expect("it counts");
    tx.audit(Audit::new("contact.created", "contact", "c1"));
    tx.push_job(job(&db));
    tx.commit().await.expect("it is kept");
    let mut tx = db.tenant(&ctx()).await.expect("a connection");
    tx.execute(INSERT, &[&tenant, &id]).await.expect_err("it is there already");
    drop(tx);
    let mut reading = db.read(&ctx()).await.expect("a connection");
    reading.query(COUNT, &[&tenant]).await.expect("it counts");
    reading.query("select 1/0", &[]).await.expect_err("it fails");
}

/// A request with an idempotency key, from its begin to its answer.
async fn keyed(db: Db) {
    let key = db.ambient().uuid().to_string();
    let begun = idempotency::begin(&db, Scope::Tenant(ctx()), &key, [1; 32]).await;
    let Ok(Begun::Fresh(pending)) = begun else { panic!("not new: {begun:?}") };
    let work = async {
        let tenant = ctx().tenant().uuid();
        let mut tx = db.tenant(&ctx()).await.expect("the opened one");
        let id: Uuid = db.ambient().uuid();
        tx.execute(INSERT, &[&tenant, &id]).await.expect("it is written");
        tx.commit().await.expect("it is held back");
    };
    pending.run(work).await;
    let answer = Answer { status: 201, headers: serde_json::json!({}), body: vec![1] };
    pending.finish(answer).await.expect("both are kept");
}

/// Lets a future go on `polls` times and drops it. Says whether it was done by then.
async fn cut_short<F: Future>(work: F, polls: usize) -> bool {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// The same, but it panics where the other drops.
async fn panicking<F: Future>(work: F, polls: usize) {
    let mut work = pin!(work);
    let mut left = polls;
    let done = std::future::poll_fn(|cx| {
        assert!(left > 0, "on purpose");
        left -= 1;
        work.as_mut().poll(cx)
    });
    drop(done.await);
}

/// Cuts the work short after its first step, after its second, and so on until it gets through.
/// After each the connection is looked at.
async fn cut_everywhere<F: Future>(stage: &Stage, work: impl Fn(Db) -> F) -> usize {
    let (used, found) = stage.look().await;
    assert_eq!(found, CLEAN);
    for polls in 0..1_000 {
        let done = cut_short(work(stage.db.clone()), polls).await;
        assert_eq!(stage.look().await, (used.clone(), CLEAN), "after {polls} steps");
        if done {
            return polls;
        }
    }
    panic!("it never ends");
}

#[tokio::test]
async fn work_cancelled_at_any_await_point_leaves_no_tenant_on_its_connection() {
    let stage = Stage::new().await;
    let steps = Box::pin(cut_everywhere(&stage, whole)).await;
    assert!(steps > 5, "it was cut in {steps} places");
    let steps = Box::pin(cut_everywhere(&stage, keyed)).await;
    assert!(steps > 5, "it was cut in {steps} places");
    let open = "select count(*) from pg_stat_activity where state like 'idle in%'
        and datname = current_database()";
    assert_eq!(stage.number(open).await, 0);
}

#[tokio::test]
async fn a_panic_at_any_await_point_leaves_no_tenant_on_its_connection() {
    let stage = Stage::new().await;
    let (used, _) = stage.look().await;
    for polls in 0..1_000 {
        let mut tasks = JoinSet::new();
        tasks.spawn(panicking(whole(stage.db.clone()), polls));
        let ended = tasks.join_next().await.expect("one task");
        assert_eq!(stage.look().await, (used.clone(), CLEAN), "after {polls} steps");
        if ended.is_ok() {
            assert!(polls > 5, "it panicked in {polls} places");
            return;
        }
    }
    panic!("it never ends");
}

/// The roll-back of a dropped transaction is a task. Where that can no longer run, the connection
/// goes.
#[tokio::test]
async fn a_transaction_that_ends_with_its_runtime_takes_its_connection_with_it() {
    let stage = Stage::new().await;
    let (used, _) = stage.look().await;
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let other = other.expect("a runtime");
    let (told, opened) = tokio::sync::oneshot::channel();
    let db = stage.db.clone();
    other.handle().spawn(async move {
        let mut tx = db.tenant(&ctx()).await.expect("a connection");
        tx.execute(INSERT, &[&ctx().tenant().uuid(), &Uuid::max()]).await.expect("it is written");
        told.send(()).expect("the test waits");
        std::future::pending::<()>().await;
        drop(tx);
    });
    opened.await.expect("it is open");
    other.shutdown_background();
    let (next, found) = stage.look().await;
    assert_eq!(found, CLEAN);
    assert_ne!(next, used, "the connection was closed");
    assert_eq!(stage.number("select count(*) from contacts").await, 0);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_outside_any_runtime_takes_its_connection_with_it() {
    let stage = Stage::new().await;
    let (used, _) = stage.look().await;
    let mut tx = stage.db.tenant(&ctx()).await.expect("a connection");
    tx.execute(INSERT, &[&ctx().tenant().uuid(), &Uuid::max()]).await.expect("it is written");
    std::thread::spawn(move || drop(tx)).join().expect("it is dropped");
    let (next, found) = stage.look().await;
    assert_eq!(found, CLEAN);
    assert_ne!(next, used, "the connection was closed");
    assert_eq!(stage.number("select count(*) from contacts").await, 0);
}

/// Proof that the look itself sees what it looks for.
#[tokio::test]
async fn a_connection_given_back_unclean_would_be_seen() {
    let stage = Stage::new().await;
    let lent = stage.db.tenant_pool().lend(Uuid::nil(), Hold::Brief).await.expect("a connection");
    lent.batch_execute("BEGIN; SET LOCAL misy.tenant = 'somebody'").await.expect("it is set");
    drop(lent);
    let (_, found) = stage.look().await;
    assert_eq!(found, Found { tenant: "somebody".to_owned(), in_transaction: true });
}
