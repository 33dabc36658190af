//! Room `integration`: what a tenant publishes at the same time shares a commit.
//!
//! While one batch is on its way to the disk the next one gathers, so the busier a tenant is the
//! more share one. Nobody waits for company: what comes alone is written alone, at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use misy_core::{Code, Ctx, Public, TenantId};
use misy_store::{Db, NewEvent, idempotency};
use moka::sync::Cache;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::Deps;
use crate::events::model::Error;

/// Events that share a commit at most, but for one publication that has more.
const EVENTS_MAX: usize = 256;
/// Bytes that share a commit at most, but for one publication that has more.
const BYTES_MAX: usize = 4 << 20;
/// How often a writer lets everybody else who is ready go first.
const GATHERING: usize = 2;
/// Tenants that publish at the same time, at most; of one that is forgotten too early fewer
/// publications share a commit.
const LANES_MAX: u64 = 20_000;
/// How long a lane is kept that nobody uses.
const IDLE: Duration = Duration::from_mins(1);

/// What became of a publication.
enum Outcome {
    Kept,
    /// The database is away, or too busy.
    Unavailable,
    /// The database refused the batch, perhaps because of another's: each is tried by itself.
    Apart(Vec<NewEvent>),
}

struct Waiting {
    events: Vec<NewEvent>,
    ended: oneshot::Sender<Outcome>,
}

/// The publications of one tenant, written one batch after another in the order of their arrival.
#[derive(Default)]
struct Lane {
    queue: Mutex<VecDeque<Waiting>>,
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl Lane {
    fn push(&self, events: Vec<NewEvent>) -> oneshot::Receiver<Outcome> {
        let (ended, receiver) = oneshot::channel();
        self.lock().push_back(Waiting { events, ended });
        receiver
    }

    fn take(&self) -> Vec<Waiting> {
        let (mut queue, mut batch) = (self.lock(), Vec::new());
        let (mut events, mut bytes) = (0, 0);
        while let Some(next) = queue.front() {
            events += next.events.len();
            bytes += next.events.iter().map(|event| event.payload.len()).sum::<usize>();
            if !batch.is_empty() && (events > EVENTS_MAX || bytes > BYTES_MAX) {
                break;
            }
            batch.extend(queue.pop_front());
        }
        batch
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes of the tenants that publish.
#[derive(Clone)]
pub struct Publications(Cache<TenantId, Arc<Lane>>);

impl Default for Publications {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(LANES_MAX).time_to_idle(IDLE).build())
    }
}

impl std::fmt::Debug for Publications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publications")
    }
}

/// Keeps events, all or none; returns when they are on the disk. The answer to a request with a
/// key is kept in the transaction of its own events, so that one shares with nobody.
pub(super) async fn keep(deps: &Deps, ctx: &Ctx, events: Vec<NewEvent>) -> Result<(), Error> {
    if idempotency::is_keyed() {
        return Ok(write(&deps.db, ctx, events).await?);
    }
    let lane = deps.publications.0.get_with(ctx.tenant(), Arc::default);
    let mut ended = lane.push(events);
    let turn = Arc::clone(&lane.writing).lock_owned();
    tokio::select! {
        biased;
        outcome = &mut ended => return settle(deps, ctx, outcome).await,
        turn = turn => {
            let (db, ctx) = (deps.db.clone(), ctx.clone());
            let span = tracing::error_span!("publish", request_id = %ctx.request());
            let work = async move {
                write_next(&db, &ctx, &lane).await;
                drop(turn);
            };
            // The batch holds events of other requests: it must be finished even if the caller of
            // this one hangs up.
            #[expect(clippy::disallowed_methods, reason = "outlives the request that began it")]
            tokio::spawn(work.instrument(span));
        }
    }
    settle(deps, ctx, ended.await).await
}

async fn settle(
    deps: &Deps,
    ctx: &Ctx,
    outcome: Result<Outcome, oneshot::error::RecvError>,
) -> Result<(), Error> {
    match outcome {
        Ok(Outcome::Kept) => Ok(()),
        Ok(Outcome::Apart(events)) => Ok(write(&deps.db, ctx, events).await?),
        Ok(Outcome::Unavailable) | Err(_) => Err(Error::NotKept),
    }
}

async fn write_next(db: &Db, ctx: &Ctx, lane: &Lane) {
    for _ in 0..GATHERING {
        tokio::task::yield_now().await;
    }
    let batch = lane.take();
    if batch.is_empty() {
        return;
    }
    let events = batch.iter().flat_map(|one| &one.events).cloned().collect();
    let result = write(db, ctx, events).await;
    for Waiting { events, ended } in batch {
        let outcome = match &result {
            Ok(()) => Outcome::Kept,
            Err(error) if error.code() == Code::Unavailable => Outcome::Unavailable,
            Err(_) => Outcome::Apart(events),
        };
        // Whoever has hung up does not hear it.
        let _ = ended.send(outcome);
    }
}

async fn write(db: &Db, ctx: &Ctx, events: Vec<NewEvent>) -> Result<(), misy_store::Error> {
    let mut tx = db.tenant(ctx).await?;
    for event in events {
        tx.push_event(event);
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use misy_core::EventId;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    use super::*;

    fn event(bytes: usize) -> NewEvent {
        NewEvent {
            id: EventId::from_uuid(Uuid::nil()),
            kind: "order.created".to_owned(),
            channel: None,
            payload: "x".repeat(bytes),
            kept: true,
        }
    }

    #[test]
    fn a_batch_keeps_the_order_and_has_its_limits() {
        let lane = Lane::default();
        let sizes = [1, EVENTS_MAX - 1, 1];
        let _waiting: Vec<_> = sizes.iter().map(|&n| lane.push(vec![event(n); n])).collect();
        let taken: Vec<usize> = lane.take().iter().map(|one| one.events.len()).collect();
        assert_eq!(taken, [1, EVENTS_MAX - 1]);
        assert_eq!(lane.take().len(), 1);
        assert!(lane.take().is_empty());
    }

    #[test]
    fn a_publication_that_is_larger_than_a_batch_goes_alone() {
        let lane = Lane::default();
        let sizes = [BYTES_MAX + 1, 1, BYTES_MAX];
        let _waiting: Vec<_> = sizes.iter().map(|&n| lane.push(vec![event(n)])).collect();
        let taken: Vec<usize> = std::iter::repeat_with(|| lane.take().len()).take(4).collect();
        assert_eq!(taken, [1, 1, 1, 0]);
    }
}
