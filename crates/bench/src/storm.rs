//! Room `bench`: many tenants at random on a few connections, with transactions that are cancelled
//! at any point, that panic, fail, idle or take too long. Each row of a tenant holds a canary; no
//! tenant may ever meet one of another.
//!
//! Statements name no tenant in their predicates, so that nothing but the policies and the context
//! on the connection stands between tenants. Durability is off: it is not what is asked here.

mod acts;
mod canaries;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use misy_core::{Ambient, PlatformCtx};
use misy_store::{Config, Db, RolePasswords};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::dice::Dice;
use crate::{Failure, Report, sql};

/// What is run, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The way in for a role that may create databases and roles.
    pub server: tokio_postgres::Config,
    /// The passwords that the program's roles have there.
    pub passwords: RolePasswords,
    /// Clock and randomness.
    pub ambient: Ambient,
    /// On whose behalf tenants are entered.
    pub ctx: PlatformCtx,
    /// Tenants.
    pub tenants: usize,
    /// Operations in all.
    pub size: usize,
    /// Connections of the pool.
    pub connections: usize,
    /// Operations that are under way at once.
    pub at_once: usize,
    /// With what the dice begin.
    pub seed: u64,
}

/// How long a statement may run, and a transaction idle. Short, so that many do not.
const PATIENCE_MS: u64 = 100;

/// What came of all operations.
#[derive(Debug, Default)]
pub struct Tally {
    /// Canaries that were looked at.
    pub canaries: AtomicU64,
    /// Canaries of another tenant, contexts of another tenant, rows of another tenant that could be
    /// changed.
    pub foreign: AtomicU64,
    /// Transactions that were kept.
    pub committed: AtomicU64,
    /// Operations that were dropped in the middle.
    pub cancelled: AtomicU64,
    /// Operations that panicked in the middle.
    pub panicked: AtomicU64,
    /// Statements that took too long, and transactions that idled too long.
    pub timed_out: AtomicU64,
    /// Statements that failed, as they were meant to.
    pub failed: AtomicU64,
    /// Operations that did not end as they were meant to.
    pub unexpected: AtomicU64,
}

impl Tally {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the storm in a database of its own, which it removes.
pub async fn run(settings: &Settings) -> Result<Report, Failure> {
    let database = format!("misy_bench_storm_{}", std::process::id());
    let mut server = settings.server.clone();
    sql::run(&server, &format!("drop database if exists {database} with (force)")).await?;
    sql::run(&server, &format!("create database {database}")).await?;
    server.dbname(&database);
    let report = measure(settings, &server, &database).await;
    sql::run(&settings.server, &format!("drop database {database} with (force)")).await?;
    report
}

async fn measure(
    settings: &Settings,
    server: &tokio_postgres::Config,
    database: &str,
) -> Result<Report, Failure> {
    misy_store::migrate::migrate(server, &settings.passwords).await?;
    sql::run(server, &format!("alter database {database} set synchronous_commit = off")).await?;
    canaries::plant(server, settings.tenants).await?;
    let pools = Config {
        tenant_connections: settings.connections,
        tenant_connections_per_tenant: settings.connections.div_ceil(2),
        wait_ms: 120_000,
        statement_ms: PATIENCE_MS,
        idle_in_transaction_ms: PATIENCE_MS,
        ..Config::default()
    };
    let db = Db::open(server, &settings.passwords, &pools, settings.ambient.clone());
    let tally = Arc::new(Tally::default());
    let begun = Instant::now();
    rage(settings, &db, &tally).await?;
    let elapsed = begun.elapsed();
    let left = canaries::look(server).await?;
    Ok(Report::new(
        "storm",
        json!({
            "size": settings.size, "tenants": settings.tenants,
            "connections": settings.connections, "at_once": settings.at_once,
            "seed": settings.seed,
        }),
        metrics(&tally, left, settings.size, elapsed),
    ))
}

fn metrics(tally: &Tally, left: canaries::Left, size: usize, elapsed: Duration) -> Value {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "operations": size,
        "operations_per_s": size as f64 / elapsed.as_secs_f64(),
        "canaries_read": read(&tally.canaries),
        "committed": read(&tally.committed),
        "cancelled": read(&tally.cancelled),
        "panicked": read(&tally.panicked),
        "timed_out": read(&tally.timed_out),
        "failed": read(&tally.failed),
        "unexpected": read(&tally.unexpected),
        "foreign_canaries": read(&tally.foreign) + left.foreign,
        "uncommitted_rows_kept": left.uncommitted,
        "transactions_left_open": left.open,
    })
}

/// Operations between two lines of progress.
const TOLD_EVERY: usize = 50_000;

/// Says on standard error how far it is and how long it will take.
fn tell(done: usize, size: usize, begun: Instant) {
    if done == 0 || !done.is_multiple_of(TOLD_EVERY) {
        return;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let left = elapsed / done as f64 * (size - done) as f64;
    eprintln!("{done} of {size} operations, {elapsed:.0} s, about {left:.0} s to go");
}

/// Several tasks take operations until none is left.
async fn rage(settings: &Settings, db: &Db, tally: &Arc<Tally>) -> Result<(), Failure> {
    let left = Arc::new(AtomicUsize::new(settings.size));
    let mut tasks = JoinSet::new();
    for worker in 0..settings.at_once {
        let (db, tally, left) = (db.clone(), Arc::clone(tally), Arc::clone(&left));
        let (ctx, tenants) = (settings.ctx.clone(), settings.tenants as u64);
        let (size, begun) = (settings.size, Instant::now());
        let mut dice = Dice::new(settings.seed ^ ((worker as u64 + 1) << 32));
        tasks.spawn(async move {
            let one_less = |left: usize| left.checked_sub(1);
            while let Ok(before) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            {
                tell(size - before, size, begun);
                let own = canaries::tenant(dice.below(tenants));
                let other = canaries::tenant(dice.below(tenants));
                let scene = acts::Scene { db: &db, tally: &tally, ctx: &ctx, own, other };
                Box::pin(acts::one(&scene, &mut dice)).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
