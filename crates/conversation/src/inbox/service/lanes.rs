//! Room `conversation`: payloads that wait to be written together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use misy_core::ChannelId;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// Batches that are written at once. The more accounts are busy, the more each gathers meanwhile.
const PENS: usize = 4;
/// How often a writer lets everybody else who is ready go first.
const GATHERING: usize = 2;
/// Payloads that one statement writes at most.
const BATCH_MAX: usize = 256;
/// Bytes that one statement writes at most, but for a single payload that is larger.
const BATCH_MAX_BYTES: usize = 4 << 20;
/// Bytes that may wait for one account.
const WAITING_MAX_BYTES: usize = 32 << 20;

/// A payload on its way into the inbox.
pub(crate) struct Waiting {
    pub(crate) body: Bytes,
    pub(crate) written: oneshot::Sender<bool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

/// The payloads of one account that are written one batch after another. While a batch is on its
/// way to the disk the next one gathers, so the busier it is the more share one commit.
#[derive(Default)]
pub(crate) struct Lane {
    queue: Mutex<Queue>,
    pub(crate) writing: Arc<tokio::sync::Mutex<()>>,
}

impl Lane {
    /// Queues a payload; `None` if too much waits already.
    pub(crate) fn push(&self, body: Bytes) -> Option<oneshot::Receiver<bool>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.bytes + body.len() > WAITING_MAX_BYTES && !queue.waiting.is_empty() {
            return None;
        }
        let (written, receiver) = oneshot::channel();
        queue.bytes += body.len();
        queue.waiting.push_back(Waiting { body, written });
        Some(receiver)
    }

    /// Takes the next batch, in the order of arrival.
    pub(crate) fn take(&self) -> Vec<Waiting> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(next) = queue.waiting.front() {
            bytes += next.body.len();
            if !batch.is_empty() && (batch.len() == BATCH_MAX || bytes > BATCH_MAX_BYTES) {
                break;
            }
            queue.bytes -= next.body.len();
            batch.extend(queue.waiting.pop_front());
        }
        batch
    }
}

/// The lanes of accounts that were busy lately, and the pens that they share.
#[derive(Clone)]
pub struct Writers {
    lanes: moka::sync::Cache<ChannelId, Arc<Lane>>,
    pens: Arc<Semaphore>,
}

impl Default for Writers {
    fn default() -> Self {
        let idle = Duration::from_mins(5);
        let lanes = moka::sync::Cache::builder().max_capacity(100_000).time_to_idle(idle).build();
        Self { lanes, pens: Arc::new(Semaphore::new(PENS)) }
    }
}

impl Writers {
    pub(crate) fn of(&self, channel: ChannelId) -> Arc<Lane> {
        self.lanes.get_with(channel, Arc::default)
    }

    /// The right to write one batch. Whoever is ready to be part of it comes along: on an idle
    /// machine that is nobody and takes no time, on a busy one it makes batches larger.
    pub(crate) async fn pen(&self) -> Option<SemaphorePermit<'_>> {
        // The pens are never taken away, so there is always one to wait for.
        let pen = self.pens.acquire().await.ok();
        for _ in 0..GATHERING {
            tokio::task::yield_now().await;
        }
        pen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Bytes {
        Bytes::from(vec![0; count])
    }

    #[test]
    fn a_batch_keeps_order_and_limits() {
        let lane = Lane::default();
        let receivers: Vec<_> =
            (0..BATCH_MAX + 3).map(|n| lane.push(bytes(n)).expect("room")).collect();
        let first = lane.take();
        assert_eq!(first.len(), BATCH_MAX);
        assert!(first.iter().enumerate().all(|(n, waiting)| waiting.body.len() == n));
        assert_eq!(lane.take().len(), 3);
        assert!(lane.take().is_empty());
        drop(receivers);
    }

    #[test]
    fn a_payload_larger_than_a_batch_goes_alone() {
        let lane = Lane::default();
        let _large = lane.push(bytes(BATCH_MAX_BYTES + 1)).expect("room");
        let _small = lane.push(bytes(1)).expect("room");
        assert_eq!(lane.take().len(), 1);
        assert_eq!(lane.take().len(), 1);
    }

    #[test]
    fn what_cannot_be_held_is_refused() {
        let lane = Lane::default();
        let _first = lane.push(bytes(WAITING_MAX_BYTES)).expect("the first always fits");
        assert!(lane.push(bytes(1)).is_none());
    }
}
