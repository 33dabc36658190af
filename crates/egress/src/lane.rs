//! Room `egress`: a lane is all calls of one (tenant, connection, host): its breaker, its pace and
//! its calls in flight. A slow or failing lane holds up no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use misy_core::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::breaker::{Breaker, Health};
use crate::pace::Pace;
use crate::{Answer, Call, Config, Error, Pacing};

/// Below this many lanes nothing is swept.
const SWEEP_FROM: usize = 1024;
/// What a caller is told when all slots are taken; calls last about that long.
const BUSY_RETRY_MS: u64 = 1_000;

/// What makes a lane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    tenant: TenantId,
    connection: String,
    host: String,
}

impl Key {
    pub(crate) fn new(tenant: TenantId, connection: &str, host: &str) -> Self {
        Self { tenant, connection: connection.to_owned(), host: host.to_owned() }
    }
}

/// All lanes of the process.
pub(crate) struct Lanes {
    config: Config,
    total: Arc<Semaphore>,
    table: Mutex<Table>,
}

struct Table {
    lanes: HashMap<Key, Arc<Lane>>,
    sweep_at: usize,
}

impl Lanes {
    pub(crate) fn new(config: &Config) -> Self {
        let table = Table { lanes: HashMap::new(), sweep_at: SWEEP_FROM };
        let total = Arc::new(Semaphore::new(config.in_flight_total));
        Self { config: config.clone(), total, table: Mutex::new(table) }
    }

    /// The lane of a key. Lanes that remember nothing are swept when their number has doubled.
    pub(crate) fn of(&self, key: Key) -> Arc<Lane> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.lanes.len() >= table.sweep_at {
            let now = Instant::now();
            table.lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_fresh(now));
            table.sweep_at = SWEEP_FROM.max(table.lanes.len() * 2);
        }
        let new = || Arc::new(Lane::new(&self.config, Arc::clone(&self.total)));
        Arc::clone(table.lanes.entry(key).or_insert_with(new))
    }
}

/// One lane.
pub(crate) struct Lane {
    breaker: Breaker,
    pace: Pace,
    slots: Arc<Semaphore>,
    total: Arc<Semaphore>,
}

impl Lane {
    fn new(config: &Config, total: Arc<Semaphore>) -> Self {
        Self {
            breaker: Breaker::new(config),
            pace: Pace::new(config),
            slots: Arc::new(Semaphore::new(config.in_flight_per_connection)),
            total,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.breaker.is_fresh() && self.pace.is_fresh(now)
    }

    /// Waits for the turn of one call, in the order of asking.
    pub(crate) async fn turn(
        self: Arc<Self>,
        config: &Config,
        started: Instant,
    ) -> Result<Turn, Error> {
        let latest = started + config.max_wait();
        let own = slot(&self.slots, latest).await?;
        let shared = slot(&self.total, latest).await?;
        self.breaker
            .admit(Instant::now())
            .map_err(|wait| Error::BreakerOpen { retry_after_ms: whole_ms(wait) })?;
        let turn = Turn { lane: self, health: Health::Untold, _slots: (own, shared) };
        let now = Instant::now();
        let wait = turn
            .lane
            .pace
            .reserve(now, latest.saturating_duration_since(now))
            .map_err(|wait| Error::Limited { retry_after_ms: whole_ms(wait) })?;
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(turn)
    }
}

async fn slot(slots: &Arc<Semaphore>, latest: Instant) -> Result<OwnedSemaphorePermit, Error> {
    let busy = Error::Limited { retry_after_ms: BUSY_RETRY_MS };
    match timeout_at(latest, Arc::clone(slots).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(busy),
    }
}

fn whole_ms(wait: std::time::Duration) -> u64 {
    u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// A call that may go now. When it is dropped, the lane has heard how it went.
pub(crate) struct Turn {
    lane: Arc<Lane>,
    health: Health,
    _slots: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Turn {
    /// Tells the lane what came of the call.
    pub(crate) fn finish(mut self, call: &Call, outcome: &Result<Answer, Error>) {
        self.health = match outcome {
            Ok(answer) if answer.status.is_server_error() => Health::Ill,
            Ok(_) | Err(Error::TooLarge { .. }) => Health::Well,
            Err(Error::NotSent(_) | Error::Unknown(_)) => Health::Ill,
            Err(_) => Health::Untold,
        };
        let Ok(answer) = outcome else { return };
        let mut pacing = call.pacing.map_or_else(Pacing::default, |read| read(answer));
        if matches!(answer.status.as_u16(), 429 | 503) {
            pacing.pause_ms = pacing.pause_ms.max(answer.retry_after_ms);
        }
        if pacing != Pacing::default() {
            self.lane.pace.learn(Instant::now(), pacing);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lane.breaker.hear(self.health, Instant::now());
    }
}
