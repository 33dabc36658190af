//! Room `jobs`: several processes, some of which die at any moment; lanes keep their order, no two
//! jobs of a lane overlap, everything is done in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use misy_core::{Ctx, TenantId};
use misy_jobs::{Config, Job, JobError, Registry, Retry, Worker};
use serde::{Deserialize, Serialize};

use crate::stage::{Stage, ctx};

const LANES: u32 = 12;
const JOBS_A_LANE: u32 = 25;
const CRASHES: u32 = 8;

#[derive(Default)]
struct Ledger {
    /// Lanes in which a job is at work.
    busy: HashMap<(TenantId, u32), u32>,
    /// Successful jobs of each lane, in order.
    done: HashMap<(TenantId, u32), Vec<u32>>,
    overlaps: u32,
}

/// At work until dropped, also when the process dies.
struct AtWork(Arc<Mutex<Ledger>>, (TenantId, u32));

impl AtWork {
    fn begin(ledger: &Arc<Mutex<Ledger>>, lane: (TenantId, u32)) -> Self {
        let mut open = ledger.lock().unwrap();
        let busy = open.busy.entry(lane).or_default();
        *busy += 1;
        let overlap = *busy > 1;
        open.overlaps += u32::from(overlap);
        Self(Arc::clone(ledger), lane)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        *self.0.lock().unwrap().busy.get_mut(&self.1).unwrap() -= 1;
    }
}

#[derive(Serialize, Deserialize)]
struct Turn {
    lane: u32,
    number: u32,
}

impl Job for Turn {
    const NAME: &'static str = "tests.turn";
    const RETRY: Retry = Retry {
        attempts: 1_000,
        first: Duration::from_millis(1),
        longest: Duration::from_millis(20),
    };
    type Deps = Mutex<Ledger>;

    fn lane(&self) -> Option<String> {
        Some(format!("lane {}", self.lane))
    }

    async fn run(self, ctx: Ctx, ledger: Arc<Mutex<Ledger>>) -> Result<(), JobError> {
        let lane = (ctx.tenant(), self.lane);
        let work = AtWork::begin(&ledger, lane);
        tokio::time::sleep(Duration::from_millis(u64::from(self.number % 4))).await;
        if ctx.trace().span_id.is_multiple_of(5) {
            return Err(JobError::retry("now and then"));
        }
        drop(work);
        let mut open = ledger.lock().unwrap();
        let done = open.done.entry(lane).or_default();
        // A worker that dies between its work and its completion leaves the job to be done again.
        if done.last() != Some(&self.number) {
            done.push(self.number);
        }
        Ok(())
    }
}

/// A process with a worker: a runtime of its own that can be cut off in the middle of anything.
fn start_process(stage: &Stage, ledger: &Arc<Mutex<Ledger>>, seed: u64) -> tokio::runtime::Runtime {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ambient = misy_testkit::wall_ambient(1_000 + seed);
    let db = stage.database.db(ambient.clone());
    let registry = Registry::new().register::<Turn>(Arc::clone(ledger));
    let config =
        Config { lease_ms: 3_000, poll_ms: 50, concurrency: 6, prefetch: 6, ..Config::default() };
    runtime.block_on(async move {
        let running = Worker::start(db, registry, config, ambient);
        // It ends with its process only.
        std::mem::forget(running);
    });
    runtime
}

async fn enqueue_lane(stage: &Stage, tenant: u128, lane: u32) {
    let ambient = misy_testkit::wall_ambient(u64::from(lane) + 77 * u64::try_from(tenant).unwrap());
    let db = stage.database.db(ambient);
    for number in 0..JOBS_A_LANE {
        let mut tx = db.tenant(&ctx(tenant)).await.unwrap();
        Turn { lane, number }.enqueue(&mut tx);
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_hold_while_processes_die() {
    let stage = Stage::in_real_time().await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut processes: Vec<_> =
        (0..2).map(|seed| block(|| start_process(&stage, &ledger, seed))).collect();
    let enqueuing = futures_util::future::join_all(
        (0..LANES).map(|lane| enqueue_lane(&stage, u128::from(lane % 3) + 1, lane)),
    );
    let dying = async {
        for crash in 0..CRASHES {
            tokio::time::sleep(Duration::from_millis(u64::from(crash * 37 % 90))).await;
            let dead = processes.remove(0);
            dead.shutdown_background();
            processes.push(block(|| start_process(&stage, &ledger, 10 + u64::from(crash))));
        }
    };
    tokio::join!(enqueuing, dying);
    stage.until_empty().await;
    for process in processes {
        process.shutdown_background();
    }
    let ledger = ledger.lock().unwrap();
    assert_eq!((ledger.overlaps, ledger.done.len()), (0, LANES as usize));
    for (lane, done) in &ledger.done {
        assert_eq!(*done, (0..JOBS_A_LANE).collect::<Vec<_>>(), "{lane:?}");
    }
}

/// Starting a runtime from within another needs a thread that may block.
fn block<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
