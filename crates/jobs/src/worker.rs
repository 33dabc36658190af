//! Room `jobs`: starts, stops and steers the work of this process.

use std::sync::Arc;
use std::time::Duration;

use futures_util::join;
use misy_core::{Ambient, Timestamp};
use misy_store::{Db, Error};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::dead_letters::Replay;
use crate::dispatcher::Dispatcher;
use crate::outcome::{Outcome, later};
use crate::store::{START, Turn, Want};
use crate::{Registry, envelope, run, tasks};

/// The least time between two announcements: each costs every commit of the database a moment.
const ANNOUNCE: Duration = Duration::from_millis(20);

/// How long to wait before listening again on a new connection.
const RECONNECT: Duration = Duration::from_secs(1);

/// How much a worker does at once, and how it keeps its claims.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Jobs that run at the same time. A job that waits for a network holds no connection, so this
    /// may be far above the number of connections.
    pub concurrency: usize,
    /// Jobs claimed ahead, so that a slot that becomes free is filled at once.
    pub prefetch: usize,
    /// For how long a claim holds before another process may take the job, in milliseconds. It is
    /// renewed as long as this process lives.
    pub lease_ms: u64,
    /// How often the queue is looked at without being told to, in milliseconds.
    pub poll_ms: u64,
    /// How long a stopping worker waits for the jobs that run, in milliseconds.
    pub drain_ms: u64,
    /// Whether this is the only process with a worker on the database: then whatever is claimed
    /// when it starts was claimed by a predecessor that died, and is taken back at once.
    pub sole: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 64,
            prefetch: 128,
            lease_ms: 30_000,
            poll_ms: 1_000,
            drain_ms: 20_000,
            sole: false,
        }
    }
}

/// What became of the jobs that a worker ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Succeeded.
    pub done: usize,
    /// Failed, to be tried again.
    pub retried: usize,
    /// Put off without counting an attempt.
    pub parked: usize,
    /// Given up; each is a dead letter.
    pub buried: usize,
}

/// Runs jobs, either when told to (tests) or on its own (a started one).
pub struct Worker {
    pub(crate) db: Db,
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: Config,
    pub(crate) ambient: Ambient,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker {{ jobs: {:?} }}", self.registry)
    }
}

/// Turns after which [`Worker::run_until_idle`] takes the jobs for a loop without end.
const MOST: usize = 10_000;

impl Worker {
    /// Makes a worker that runs nothing by itself.
    pub fn new(db: Db, registry: Registry, config: Config, ambient: Ambient) -> Self {
        let registry = registry.register::<Replay>(Arc::new(db.clone()));
        Self { db, registry: Arc::new(registry), config, ambient }
    }

    /// Starts a worker that runs what is ready until it is stopped.
    pub fn start(db: Db, registry: Registry, config: Config, ambient: Ambient) -> Running {
        let (stop, stopped) = watch::channel(());
        let sole = config.sole;
        let patience = Duration::from_millis(config.drain_ms) + Duration::from_secs(10);
        let worker = Self::new(db.clone(), registry, config, ambient);
        let task = tasks::spawn(async move {
            let company =
                async { if sole { std::future::pending().await } else { keep_company(&db).await } };
            tokio::select! {
                () = Dispatcher::new(worker).run(stopped) => {}
                () = company => {}
            }
        });
        Running::new(stop, task, patience)
    }

    /// Runs everything that is ready, one after another, until nothing is; for tests. Always in the
    /// same order, and in the task that calls it.
    pub async fn run_until_idle(&self) -> Result<Tally, Error> {
        self.run_until_idle_at(self.ambient.now()).await
    }

    /// The same, at another time: what is deferred until then is due, what is leased until then is
    /// taken back. Errors of the database only; those of jobs are in the tally.
    pub async fn run_until_idle_at(&self, now: Timestamp) -> Result<Tally, Error> {
        let ctx = envelope::keeper(&self.ambient);
        let (mut tally, mut settled, mut after) = (Tally::default(), Vec::new(), START);
        let until = later(now, Duration::from_millis(self.config.lease_ms));
        for _ in 0..MOST {
            let mut turn = Turn::begin(&self.db, &ctx).await?;
            turn.settle(&settled).await?;
            turn.reclaim(now).await?;
            turn.promote(now).await?;
            let lease = self.ambient.uuid();
            let want = Want { number: 16, after, rooms: &[], room: 16, lease, until };
            let catch = turn.claim(&want).await?;
            turn.commit().await?;
            if !catch.found_any() {
                return Ok(tally);
            }
            after = catch.after.unwrap_or(after);
            settled.clear();
            for job in catch.jobs {
                let one = run::attempt(job, &self.registry, &self.ambient).await;
                tally.count(&one.outcome);
                settled.push(one);
            }
        }
        panic!("the jobs enqueue or park one another without end: {tally:?}")
    }

    /// Enqueues what the schedules want in the present period, as a started worker does by itself.
    /// Gives the number of jobs.
    pub async fn run_schedules(&self) -> Result<usize, Error> {
        let mut turn = Turn::begin(&self.db, &envelope::keeper(&self.ambient)).await?;
        let enqueued = turn.schedule(self.registry.schedules(), self.ambient.now()).await?;
        turn.commit().await?;
        Ok(enqueued)
    }
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done => self.done += 1,
            Outcome::Retry { .. } => self.retried += 1,
            Outcome::Park { .. } | Outcome::GiveBack => self.parked += 1,
            Outcome::Bury { .. } => self.buried += 1,
        }
    }
}

/// A started worker. When it is dropped, it stops by itself, later and unobserved.
#[derive(Debug)]
#[must_use = "a worker stops when this is dropped"]
pub struct Running {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
    patience: Duration,
}

impl Running {
    pub(crate) fn new(stop: watch::Sender<()>, task: JoinHandle<()>, patience: Duration) -> Self {
        Self { stop, task, patience }
    }

    /// Claims nothing more, waits for the jobs that run, at most as long as the configuration says,
    /// and gives back the rest without counting an attempt.
    pub async fn stop(self) {
        let Self { stop, mut task, patience } = self;
        drop(stop);
        if tokio::time::timeout(patience, &mut task).await.is_err() {
            tracing::warn!("the worker did not stop in time; its jobs are left to their leases");
            task.abort();
        }
    }
}

/// Tells workers of other processes what this one has enqueued; never ends. A process with a worker
/// does it by itself, one without must run this beside its own work.
pub async fn announce(db: &Db) {
    loop {
        db.wake().to_tell().await;
        if let Err(error) = db.tell().await {
            tracing::debug!(%error, "other workers were not told; they will look by themselves");
        }
        sleep(ANNOUNCE).await;
    }
}

/// Hears of what other processes have enqueued; never ends.
async fn hear(db: &Db) {
    loop {
        let Err(error) = db.listen().await;
        tracing::debug!(%error, "not listening; looking by the clock");
        sleep(RECONNECT).await;
        db.wake().signal_from_afar();
    }
}

async fn keep_company(db: &Db) {
    join!(announce(db), hear(db));
}
