//! Room `bench`: the queue. How many jobs a second are enqueued, and claimed, run and completed;
//! what one costs; and how long tenants wait behind another's backlog. The floor is `pgbench`,
//! committing single rows over as many connections as enqueue.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, Grants, PlatformCtx, TenantId};
use misy_jobs::{Config, Job, JobError, Registry, Worker};
use misy_store::{Db, RolePasswords};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;

use crate::cpu::{Meter, Used};
use crate::pgbench::Floor;
use crate::{Failure, Report, sql};

/// What is run, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The way in for a role that may create databases and roles; durable, and on this machine.
    pub server: tokio_postgres::Config,
    /// The passwords that the program's roles have there.
    pub passwords: RolePasswords,
    /// Clock and randomness.
    pub ambient: Ambient,
    /// On whose behalf jobs are enqueued.
    pub ctx: PlatformCtx,
    /// The floor's program.
    pub pgbench: PathBuf,
    /// Jobs of the backlog.
    pub size: usize,
    /// Tenants behind it.
    pub tenants: usize,
    /// Connections that enqueue at once.
    pub connections: usize,
    /// How long the floor and the enqueueing are measured.
    pub seconds: u64,
}

const DATABASE: &str = "misy_bench_queue";

/// Jobs of one transaction where only their number matters.
const BATCH: usize = 500;

/// The tenant with the backlog.
const NOISY: u128 = 1;

/// Runs the bench in a database of its own, which it removes.
pub async fn run(settings: &Settings) -> Result<Report, Failure> {
    let mut server = settings.server.clone();
    sql::run(&server, &format!("drop database if exists {DATABASE} with (force)")).await?;
    sql::run(&server, &format!("create database {DATABASE}")).await?;
    server.dbname(DATABASE);
    let report = measure(settings, &server).await;
    sql::run(&settings.server, &format!("drop database {DATABASE} with (force)")).await?;
    report
}

async fn measure(settings: &Settings, server: &tokio_postgres::Config) -> Result<Report, Failure> {
    misy_store::migrate::migrate(server, &settings.passwords).await?;
    let (pgbench, connections) = (settings.pgbench.clone(), settings.connections);
    let duration = Duration::from_secs(settings.seconds);
    let floor = Floor { pgbench, server: server.clone(), connections, duration };
    let commits_per_s = floor.measure().await?;
    let stage = Stage::new(settings, server).await?;
    let enqueued_per_s = stage.enqueue_rate(connections, duration).await?;
    let mut rounds = Vec::new();
    for size in [settings.size / 4, settings.size / 2, settings.size] {
        rounds.push((size, stage.round(size, settings.tenants).await?));
    }
    let exponent = exponent(&rounds);
    let Some((_, last)) = rounds.pop() else { return Err("no round was run".into()) };
    let jobs = last.jobs as f64;
    let per_job = |used: Duration| used.as_secs_f64() * 1e6 / jobs;
    Ok(Report::new(
        "queue",
        json!({
            "size": settings.size, "tenants": settings.tenants,
            "connections": connections, "seconds": settings.seconds,
        }),
        json!({
            "enqueued_per_s": enqueued_per_s,
            "jobs_per_s": jobs / last.elapsed.as_secs_f64(),
            "cpu_us_per_job": per_job(last.used.total()),
            "cpu_us_per_job_server": per_job(last.used.server),
            "first_service_ms_max": last.first_service.as_secs_f64() * 1e3,
            "pgbench_commits_per_s": commits_per_s,
            "growth_exponent": exponent,
        }),
    ))
}

/// The slope of time over work on logarithmic scales: 1 is linear.
fn exponent(rounds: &[(usize, Round)]) -> f64 {
    let (Some(first), Some(last)) = (rounds.first(), rounds.last()) else { return 0.0 };
    let time = last.1.elapsed.as_secs_f64() / first.1.elapsed.as_secs_f64();
    time.ln() / (last.0 as f64 / first.0 as f64).ln()
}

/// What working off one backlog came to.
struct Round {
    jobs: usize,
    elapsed: Duration,
    used: Used,
    first_service: Duration,
}

/// What jobs tell.
#[derive(Default)]
struct Board {
    done: AtomicUsize,
    /// Done jobs at which somebody wants to be told.
    goal: AtomicUsize,
    reached: Notify,
    served: Mutex<HashMap<TenantId, Instant>>,
}

impl Board {
    fn count(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done == self.goal.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }

    async fn until(&self, goal: usize) {
        self.goal.store(goal, Ordering::Relaxed);
        while self.done.load(Ordering::Relaxed) < goal {
            // Looks by itself as well: the number may have been passed before the goal was set.
            let waited = self.reached.notified();
            let _ = tokio::time::timeout(Duration::from_millis(20), waited).await;
        }
    }
}

/// A job of the backlog.
#[derive(Serialize, Deserialize)]
struct Noise {
    number: usize,
}

impl Job for Noise {
    const NAME: &'static str = "bench.noise";
    type Deps = Board;

    async fn run(self, _ctx: Ctx, board: Arc<Board>) -> Result<(), JobError> {
        board.count();
        Ok(())
    }
}

/// The one job of a quiet tenant.
#[derive(Serialize, Deserialize)]
struct Quiet;

impl Job for Quiet {
    const NAME: &'static str = "bench.quiet";
    type Deps = Board;

    async fn run(self, ctx: Ctx, board: Arc<Board>) -> Result<(), JobError> {
        if let Ok(mut served) = board.served.lock() {
            served.insert(ctx.tenant(), Instant::now());
        }
        board.count();
        Ok(())
    }
}

struct Stage {
    db: Db,
    ambient: Ambient,
    ctx: PlatformCtx,
    server: tokio_postgres::Config,
    meter: Meter,
}

impl Stage {
    async fn new(settings: &Settings, server: &tokio_postgres::Config) -> Result<Self, Failure> {
        let pools = misy_store::Config {
            tenant_connections: settings.connections,
            ..misy_store::Config::default()
        };
        let ambient = settings.ambient.clone();
        Ok(Self {
            db: Db::open(server, &settings.passwords, &pools, ambient.clone()),
            ambient,
            ctx: settings.ctx.clone(),
            server: server.clone(),
            meter: Meter::find(server).await?,
        })
    }

    fn ctx(&self, tenant: u128) -> Ctx {
        self.ctx.enter(TenantId::from_uuid(uuid::Uuid::from_u128(tenant)), Grants::NONE)
    }

    /// Jobs a second, each enqueued by a transaction of its own.
    async fn enqueue_rate(&self, connections: usize, duration: Duration) -> Result<f64, Failure> {
        let begun = Instant::now();
        let one = async |number: usize| -> Result<usize, Failure> {
            let ctx = self.ctx(number as u128 + 1);
            let mut enqueued = 0;
            while begun.elapsed() < duration {
                let mut tx = self.db.tenant(&ctx).await?;
                Noise { number }.enqueue(&mut tx);
                tx.commit().await?;
                enqueued += 1;
            }
            Ok(enqueued)
        };
        let enqueued: usize = try_join_all((0..connections).map(one)).await?.into_iter().sum();
        let rate = enqueued as f64 / begun.elapsed().as_secs_f64();
        sql::run(&self.server, "truncate jobs").await?;
        Ok(rate)
    }

    /// Works off a backlog of one tenant, with as many quiet tenants behind it at the start, and as
    /// many more that come when half of it is done.
    async fn round(&self, size: usize, tenants: usize) -> Result<Round, Failure> {
        self.fill(size).await?;
        sql::run(&self.server, "vacuum (analyze) jobs").await?;
        sql::run(&self.server, "checkpoint").await?;
        let early = tenants as u128;
        let mut enqueued = self.enqueue_quiet(NOISY + 1..=NOISY + early).await?;
        let board = Arc::new(Board::default());
        let (running, begun, before) = (self.start(&board), Instant::now(), self.meter.read());
        for at in enqueued.values_mut() {
            *at = begun;
        }
        board.until(size / 2).await;
        enqueued.extend(self.enqueue_quiet(NOISY + early + 1..=NOISY + 2 * early).await?);
        let jobs = size + enqueued.len();
        board.until(jobs).await;
        let elapsed = begun.elapsed();
        running.stop().await;
        let used = self.meter.read().since(before);
        let served = board.served.lock().map_err(|_| "a job panicked")?;
        let waits = served.iter().filter_map(|(tenant, at)| Some(*at - *enqueued.get(tenant)?));
        Ok(Round { jobs, elapsed, used, first_service: waits.max().unwrap_or_default() })
    }

    fn start(&self, board: &Arc<Board>) -> misy_jobs::Running {
        let registry = Registry::new()
            .register::<Noise>(Arc::clone(board))
            .register::<Quiet>(Arc::clone(board));
        let config = Config { concurrency: 256, prefetch: 1024, sole: true, ..Config::default() };
        Worker::start(self.db.clone(), registry, config, self.ambient.clone())
    }

    async fn fill(&self, size: usize) -> Result<(), Failure> {
        let ctx = self.ctx(NOISY);
        for first in (0..size).step_by(BATCH) {
            let mut tx = self.db.tenant(&ctx).await?;
            for number in first..size.min(first + BATCH) {
                Noise { number }.enqueue(&mut tx);
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// One job each; gives the time of each commit.
    async fn enqueue_quiet(
        &self,
        tenants: std::ops::RangeInclusive<u128>,
    ) -> Result<HashMap<TenantId, Instant>, Failure> {
        let one = async |tenant| -> Result<(TenantId, Instant), Failure> {
            let ctx = self.ctx(tenant);
            let mut tx = self.db.tenant(&ctx).await?;
            Quiet.enqueue(&mut tx);
            tx.commit().await?;
            Ok((ctx.tenant(), Instant::now()))
        };
        Ok(try_join_all(tenants.map(one)).await?.into_iter().collect())
    }
}
