//! Room `conversation`: payloads that wait to be written together.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use misy_core::id::TypedId;
use misy_core::{ChannelId, TenantId};
use tokio::sync::oneshot;

use super::arrivals::Owed;
use crate::hooks::model::Route;

/// Batches that are written at once; while one is on its way to the disk the other gathers.
const PENS: u128 = 2;
/// How often a writer lets everybody else who is ready go first: on an idle machine that is nobody
/// and takes no time, on a busy one it makes batches larger.
const GATHERING: usize = 2;
/// How often is looked whether everything was told.
const SETTLING: Duration = Duration::from_millis(1);
/// Payloads that one statement writes at most.
const BATCH_MAX: usize = 256;
/// Bytes that one statement writes at most, but for a single payload that is larger.
const BATCH_MAX_BYTES: usize = 4 << 20;
/// Bytes that may wait for one account.
const WAITING_MAX_BYTES: usize = 32 << 20;
/// Bytes that may wait for all accounts of a pen.
const ALL_WAITING_MAX_BYTES: usize = 128 << 20;

/// A payload on its way into the inbox.
pub(super) struct Waiting {
    pub(super) route: Route,
    pub(super) body: Bytes,
    pub(super) written: oneshot::Sender<bool>,
}

/// What waits of one account, in the order of arrival.
#[derive(Default)]
struct Backlog {
    payloads: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Default)]
struct Queue {
    backlogs: HashMap<ChannelId, Backlog>,
    /// Accounts with a backlog, the next to be served first.
    ring: VecDeque<ChannelId>,
    bytes: usize,
}

impl Queue {
    /// The first payload of the account whose turn it is, unless it is larger than there is room.
    fn pop(&mut self, room: usize) -> Option<Waiting> {
        let channel = *self.ring.front()?;
        let backlog = self.backlogs.get_mut(&channel)?;
        let payload = backlog.payloads.pop_front_if(|first| first.body.len() <= room)?;
        backlog.bytes -= payload.body.len();
        self.bytes -= payload.body.len();
        self.ring.pop_front();
        if backlog.payloads.is_empty() {
            self.backlogs.remove(&channel);
        } else {
            self.ring.push_back(channel);
        }
        Some(payload)
    }
}

/// The payloads of some accounts, which are written one batch after another: those of one account
/// in the order of arrival, those of all accounts in turn. While a batch is on its way to the disk
/// the next one gathers, so the busier it is the more share one commit.
#[derive(Default)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    owed: Mutex<Owed>,
    pub(super) writing: Arc<tokio::sync::Mutex<()>>,
    pub(super) telling: tokio::sync::Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lane {
    /// Queues a payload; `None` if too much waits already.
    pub(super) fn push(&self, route: Route, body: Bytes) -> Option<oneshot::Receiver<bool>> {
        let mut queue = lock(&self.queue);
        let Queue { backlogs, ring, bytes } = &mut *queue;
        if *bytes + body.len() > ALL_WAITING_MAX_BYTES && *bytes > 0 {
            return None;
        }
        let backlog = backlogs.entry(route.channel).or_default();
        let first = backlog.payloads.is_empty();
        if backlog.bytes + body.len() > WAITING_MAX_BYTES && !first {
            return None;
        }
        if first {
            ring.push_back(route.channel);
        }
        let (written, receiver) = oneshot::channel();
        backlog.bytes += body.len();
        *bytes += body.len();
        backlog.payloads.push_back(Waiting { route, body, written });
        Some(receiver)
    }

    /// Takes the next batch: one payload of each account in turn.
    pub(super) fn take(&self) -> Vec<Waiting> {
        let mut queue = lock(&self.queue);
        let mut batch = Vec::new();
        let mut room = usize::MAX;
        while batch.len() < BATCH_MAX
            && let Some(next) = queue.pop(room)
        {
            let taken = room.min(BATCH_MAX_BYTES);
            room = taken.saturating_sub(next.body.len());
            batch.push(next);
        }
        batch
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.queue).ring.is_empty()
    }

    /// Whether nothing waits, is being written, or is still to be told of.
    async fn is_settled(&self) -> bool {
        let _writing = self.writing.lock().await;
        let _telling = self.telling.lock().await;
        self.is_empty() && lock(&self.owed).is_empty()
    }

    /// Lets others come along.
    pub(super) async fn gather(&self) {
        for _ in 0..GATHERING {
            tokio::task::yield_now().await;
        }
    }

    /// Notes accounts whose new payloads nobody was told of yet.
    pub(super) fn owe(&self, new: impl IntoIterator<Item = (ChannelId, TenantId)>) {
        lock(&self.owed).extend(new);
    }

    /// Takes over the duty to tell of them.
    pub(super) fn take_owed(&self) -> Owed {
        std::mem::take(&mut lock(&self.owed))
    }
}

/// The lanes of all accounts; each account is always in the same one.
#[derive(Clone)]
pub struct Writers(Arc<[Arc<Lane>]>);

impl Default for Writers {
    fn default() -> Self {
        Self((0..PENS).map(|_| Arc::default()).collect())
    }
}

impl Writers {
    /// Returns when every payload so far is stored and those who take them in were told.
    pub async fn settle(&self) {
        for lane in self.0.iter() {
            while !lane.is_settled().await {
                tokio::time::sleep(SETTLING).await;
            }
        }
    }

    pub(super) fn of(&self, channel: ChannelId) -> Arc<Lane> {
        let place = usize::try_from(channel.uuid().as_u128() % PENS).unwrap_or_default();
        Arc::clone(&self.0[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn bytes(count: usize) -> Bytes {
        Bytes::from(vec![0; count])
    }

    fn route(number: u128) -> Route {
        Route {
            tenant: TenantId::from_uuid(Uuid::from_u128(number)),
            channel: ChannelId::from_uuid(Uuid::from_u128(number)),
        }
    }

    #[test]
    fn a_batch_keeps_order_and_limits() {
        let lane = Lane::default();
        let one = route(1);
        let receivers: Vec<_> =
            (0..BATCH_MAX + 3).map(|n| lane.push(one, bytes(n)).expect("room")).collect();
        let first = lane.take();
        assert_eq!(first.len(), BATCH_MAX);
        assert!(first.iter().enumerate().all(|(n, waiting)| waiting.body.len() == n));
        assert!(!lane.is_empty());
        assert_eq!(lane.take().len(), 3);
        assert!(lane.take().is_empty());
        assert!(lane.is_empty());
        drop(receivers);
    }

    #[test]
    fn a_payload_larger_than_a_batch_goes_alone() {
        let lane = Lane::default();
        let _large = lane.push(route(1), bytes(BATCH_MAX_BYTES + 1)).expect("room");
        let _small = lane.push(route(1), bytes(1)).expect("room");
        assert_eq!(lane.take().len(), 1);
        assert_eq!(lane.take().len(), 1);
    }

    #[test]
    fn a_batch_has_its_limit_of_bytes() {
        let lane = Lane::default();
        let half = BATCH_MAX_BYTES / 2;
        let _three: Vec<_> =
            (1..=3).map(|n| lane.push(route(n), bytes(half)).expect("room")).collect();
        assert_eq!(lane.take().len(), 2);
        assert_eq!(lane.take().len(), 1);
    }

    #[test]
    fn what_cannot_be_held_is_refused() {
        let lane = Lane::default();
        let _first = lane.push(route(1), bytes(WAITING_MAX_BYTES)).expect("the first always fits");
        assert!(lane.push(route(1), bytes(1)).is_none());
        assert!(lane.push(route(2), bytes(1)).is_some(), "others are not concerned");
    }

    #[test]
    fn what_all_cannot_hold_is_refused() {
        let lane = Lane::default();
        let accounts = u128::try_from(ALL_WAITING_MAX_BYTES / WAITING_MAX_BYTES).expect("small");
        let full: Vec<_> = (0..accounts)
            .map(|n| lane.push(route(n), bytes(WAITING_MAX_BYTES)).expect("room"))
            .collect();
        assert!(lane.push(route(accounts), bytes(1)).is_none());
        drop(full);
    }

    #[test]
    fn the_backlog_of_one_account_holds_up_no_other() {
        let lane = Lane::default();
        let many: Vec<_> =
            (0..1_000).map(|_| lane.push(route(1), bytes(1)).expect("room")).collect();
        let _one = lane.push(route(2), bytes(2)).expect("room");
        let batch = lane.take();
        assert_eq!(batch.iter().position(|waiting| waiting.body.len() == 2), Some(1));
        drop(many);
    }

    #[test]
    fn what_is_owed_is_taken_over_once() {
        let lane = Lane::default();
        let Route { tenant, channel } = route(1);
        lane.owe([(channel, tenant), (channel, tenant)]);
        assert_eq!(lane.take_owed().len(), 1);
        assert!(lane.take_owed().is_empty());
    }
}
