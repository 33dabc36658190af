//! Room `sandbox`: what happens to sent messages as time goes by.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::engine::Engine;

/// A step to be taken. Ordered by its fields from the first on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    /// Keeps the order of those due at the same moment.
    order: u64,
    account: String,
    message: String,
}

/// Messages whose next status is due at some time. Not journalled: at a start it is made anew from
/// the messages.
#[derive(Default)]
pub(crate) struct Timeline {
    due: Mutex<(BinaryHeap<Reverse<Due>>, u64)>,
    bell: Notify,
}

/// How soon an attempt is repeated that failed for a reason of our own, such as a full disk.
const RETRY: Duration = Duration::from_secs(1);

impl Timeline {
    /// Lets a message take its next step after a while.
    pub(crate) fn schedule(&self, account: &str, message: &str, after: Duration) {
        {
            let mut guard = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let (heap, order) = &mut *guard;
            *order += 1;
            heap.push(Reverse(Due {
                at: Instant::now() + after,
                order: *order,
                account: account.to_owned(),
                message: message.to_owned(),
            }));
        }
        self.bell.notify_one();
    }

    /// Until the next is due, or another is put on.
    async fn wait(&self, next: Option<Instant>) {
        let rung = self.bell.notified();
        match next {
            None => rung.await,
            Some(at) => drop(tokio::time::timeout_at(at, rung).await),
        }
    }

    /// The first that is due, or when the next will be.
    fn pop(&self) -> Result<Due, Option<Instant>> {
        let mut guard = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let heap = &mut guard.0;
        match heap.peek() {
            None => Err(None),
            Some(Reverse(due)) if due.at > Instant::now() => Err(Some(due.at)),
            Some(_) => heap.pop().map(|Reverse(due)| due).ok_or(None),
        }
    }
}

/// Takes every step when it is due, for ever.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        match engine.timeline.pop() {
            Ok(due) => step(&engine, &due).await,
            Err(next) => engine.timeline.wait(next).await,
        }
    }
}

/// Lets a message take its step and puts the one after it on the timeline.
async fn step(engine: &Engine, due: &Due) {
    let next = engine.advance(&due.account, &due.message).unwrap_or(Some(RETRY));
    if let Some(after) = next {
        engine.timeline.schedule(&due.account, &due.message, after);
    }
    // So that a long backlog leaves room for requests.
    tokio::task::consume_budget().await;
}
