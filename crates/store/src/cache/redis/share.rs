//! Room `store`: what one tenant may have under way in Redis, and how many of its calls may wait.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// A tenant's share of a connection.
pub(super) struct Share {
    turns: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// One that waits, until it is dropped.
struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Share {
    /// So many turns at once, at least one, and so many that wait for one.
    pub(super) fn new(turns: usize, waiting_max: usize) -> Self {
        let turns = Semaphore::new(turns.clamp(1, Semaphore::MAX_PERMITS));
        Self { turns, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// A turn, once it is free; `None` at once if too many wait already.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Some(turn);
        }
        let waits = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiter = Waiter(&self.waiting);
        if waits >= self.waiting_max {
            return None;
        }
        self.turns.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_tenant_has_its_turns_and_its_waiters_and_not_one_more() {
        let share = Share::new(2, 1);
        let first = share.turn().await.expect("free");
        let second = share.turn().await.expect("free");
        let mut third = Box::pin(share.turn());
        assert!(third.as_mut().now_or_never().is_none(), "it waits");
        assert!(share.turn().now_or_never().expect("at once").is_none(), "too many wait");
        drop(first);
        assert!(third.as_mut().now_or_never().expect("its turn has come").is_some());
        drop((second, third));
        let again = share.turn().now_or_never().expect("nobody is in the way");
        assert!(again.is_some());
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_makes_room_for_another() {
        let share = Share::new(1, 1);
        let turn = share.turn().await.expect("free");
        let mut waiter = Box::pin(share.turn());
        assert!(waiter.as_mut().now_or_never().is_none());
        drop(waiter);
        let mut waiter = Box::pin(share.turn());
        assert!(waiter.as_mut().now_or_never().is_none(), "it waits and is not refused");
        drop(turn);
        assert!(waiter.await.is_some());
    }
}
