//! Room `jobs`: what the tests share: a database, a clock to turn, and a job that does as it is
//! told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, JobId, PlatformCtx, Role, TenantId, Timestamp};
use misy_jobs::{Config, Job, JobError, PlatformJob, Registry, Retry, Running, Worker};
use misy_store::{Db, ToSql};
use misy_testkit::{HandClock, TestDatabase};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What a job does when it runs.
pub(crate) enum Act {
    Succeed,
    Retry,
    RetryAfter(Duration),
    Park(Timestamp),
    Fail,
    Panic,
    /// Writes a line into the log.
    Log,
    /// Waits until the diary's gate is opened.
    Wait,
    /// Enqueues another job.
    Enqueue(Step),
}

/// What jobs are told to do, and what they did.
pub(crate) struct Diary {
    db: Db,
    scripts: Mutex<HashMap<u32, VecDeque<Act>>>,
    entries: Mutex<Vec<u32>>,
    contexts: Mutex<Vec<Ctx>>,
    pub(crate) gate: Semaphore,
    pub(crate) entered: Semaphore,
}

impl Diary {
    /// Tells the jobs with a tag what to do, attempt by attempt; after that they succeed.
    pub(crate) fn script(&self, tag: u32, acts: impl IntoIterator<Item = Act>) {
        self.scripts.lock().unwrap().insert(tag, acts.into_iter().collect());
    }

    /// The tags of all attempts so far, in order.
    pub(crate) fn entries(&self) -> Vec<u32> {
        self.entries.lock().unwrap().clone()
    }

    /// The contexts in which tenants' jobs ran.
    pub(crate) fn contexts(&self) -> Vec<Ctx> {
        self.contexts.lock().unwrap().clone()
    }

    /// Waits until that many attempts are waiting at the gate.
    pub(crate) async fn until_entered(&self, count: u32) {
        self.entered.acquire_many(count).await.unwrap().forget();
    }

    fn enter(&self, tag: u32) -> Act {
        self.entries.lock().unwrap().push(tag);
        let mut scripts = self.scripts.lock().unwrap();
        scripts.get_mut(&tag).and_then(VecDeque::pop_front).unwrap_or(Act::Succeed)
    }

    async fn act(&self, ctx: Option<&Ctx>, tag: u32) -> Result<(), JobError> {
        match self.enter(tag) {
            Act::Succeed => Ok(()),
            Act::Retry => Err(JobError::retry("the line was busy")),
            Act::RetryAfter(after) => {
                Err(JobError::Retry { after: Some(after), source: "slow down".into() })
            }
            Act::Park(until) => Err(JobError::Park { until }),
            Act::Fail => Err(JobError::fail("no such thing")),
            Act::Panic => panic!("as told"),
            Act::Log => {
                tracing::warn!("as told");
                Ok(())
            }
            Act::Wait => {
                self.entered.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
                Ok(())
            }
            Act::Enqueue(step) => {
                let mut tx = self.db.tenant(ctx.expect("a tenant's job")).await?;
                step.enqueue(&mut tx);
                Ok(tx.commit().await?)
            }
        }
    }
}

/// A tenant's job: one entry in the diary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) tag: u32,
    pub(crate) lane: Option<String>,
}

impl Step {
    pub(crate) fn new(tag: u32) -> Self {
        Self { tag, lane: None }
    }

    pub(crate) fn of(lane: &str, tag: u32) -> Self {
        Self { tag, lane: Some(lane.to_owned()) }
    }
}

impl Job for Step {
    const NAME: &'static str = "tests.step";
    const RETRY: Retry =
        Retry { attempts: 3, first: Duration::from_secs(10), longest: Duration::from_mins(1) };
    const LIMIT: Duration = Duration::from_secs(50);
    type Deps = Diary;

    fn lane(&self) -> Option<String> {
        self.lane.clone()
    }

    async fn run(self, ctx: Ctx, diary: Arc<Diary>) -> Result<(), JobError> {
        diary.contexts.lock().unwrap().push(ctx.clone());
        diary.act(Some(&ctx), self.tag).await
    }
}

/// The platform's job: one entry in the diary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sweep(pub(crate) u32);

impl PlatformJob for Sweep {
    const NAME: &'static str = "tests.sweep";
    type Deps = Diary;

    async fn run(self, _ctx: PlatformCtx, diary: Arc<Diary>) -> Result<(), JobError> {
        diary.act(None, self.0).await
    }
}

/// A row of the queue, as far as tests look at it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: JobId,
    pub(crate) state: String,
    pub(crate) attempts: i32,
}

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) db: Db,
    pub(crate) clock: HandClock,
    pub(crate) ambient: Ambient,
    pub(crate) diary: Arc<Diary>,
}

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn ctx(number: u128) -> Ctx {
    misy_testkit::ctx(tenant(number), Role::Owner)
}

impl Stage {
    /// With a clock that stands still.
    pub(crate) async fn new() -> Self {
        let clock = HandClock::default();
        let ambient = misy_testkit::ambient_with(&clock, 1);
        Self::with(clock, ambient).await
    }

    /// With the machine's clock, for workers that wait for it.
    pub(crate) async fn in_real_time() -> Self {
        Self::with(HandClock::default(), misy_testkit::wall_ambient(1)).await
    }

    async fn with(clock: HandClock, ambient: Ambient) -> Self {
        let database = TestDatabase::create().await;
        let db = database.db(ambient.clone());
        let diary = Arc::new(Diary {
            db: db.clone(),
            scripts: Mutex::default(),
            entries: Mutex::default(),
            contexts: Mutex::default(),
            gate: Semaphore::new(0),
            entered: Semaphore::new(0),
        });
        Self { database, db, clock, ambient, diary }
    }

    pub(crate) async fn enqueue(&self, tenant: u128, job: Step) -> JobId {
        let mut tx = self.db.tenant(&ctx(tenant)).await.unwrap();
        let id = job.enqueue(&mut tx);
        tx.commit().await.unwrap();
        id
    }

    pub(crate) async fn enqueue_all(&self, tenant: u128, jobs: impl IntoIterator<Item = Step>) {
        let mut tx = self.db.tenant(&ctx(tenant)).await.unwrap();
        for job in jobs {
            job.enqueue(&mut tx);
        }
        tx.commit().await.unwrap();
    }

    pub(crate) fn registry(&self) -> Registry {
        let registry = Registry::new().register::<Step>(Arc::clone(&self.diary));
        registry.register_platform::<Sweep>(Arc::clone(&self.diary))
    }

    pub(crate) fn worker(&self) -> Worker {
        Worker::new(self.db.clone(), self.registry(), Config::default(), self.ambient.clone())
    }

    pub(crate) fn start(&self, config: Config) -> Running {
        Worker::start(self.db.clone(), self.registry(), config, self.ambient.clone())
    }

    /// The queue in the order of ids.
    pub(crate) async fn queue(&self) -> Vec<Seen> {
        let rows = self.rows("select id, state, attempts from jobs order by id", &[]).await;
        let seen = |row: &misy_store::Row| Seen {
            id: JobId::from_uuid(row.get("id")),
            state: row.get("state"),
            attempts: row.get("attempts"),
        };
        rows.iter().map(seen).collect()
    }

    pub(crate) async fn states(&self) -> Vec<String> {
        self.queue().await.into_iter().map(|seen| seen.state).collect()
    }

    pub(crate) async fn rows(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Vec<misy_store::Row> {
        rows(&self.db, sql, params).await
    }

    /// Looks again and again until it is so. A test that hangs here is stopped by its runner.
    pub(crate) async fn until(&self, mut so: impl AsyncFnMut() -> bool) {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn until_empty(&self) {
        self.until(async || self.queue().await.is_empty()).await;
    }
}

/// Runs a statement as the role that keeps the queue.
pub(crate) async fn rows(
    db: &Db,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Vec<misy_store::Row> {
    let mut tx = db.platform(&misy_testkit::platform_ctx()).await.unwrap();
    let rows = tx.query(sql, params).await.unwrap();
    tx.commit().await.unwrap();
    rows
}
