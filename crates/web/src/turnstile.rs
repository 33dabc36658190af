//! Room `web`: a turnstile for those whom nobody knows yet: who sign in, above all. A thousand at
//! once are ready at once, and whoever is known would wait behind them all. So one after the other
//! goes through, and between two of them everybody else has a turn of the runtime.

use tokio::sync::Semaphore;

/// One at a time, in the order they came.
pub(crate) struct Turnstile(Semaphore);

impl Turnstile {
    pub(crate) const fn new() -> Self {
        Self(Semaphore::const_new(1))
    }

    /// Waits for one's turn, and then until all who are ready now had theirs. Nothing is held while
    /// the request is answered: how many passwords are hashed at once is not for this to say.
    pub(crate) async fn pass(&self) {
        let turn = self.0.acquire().await;
        tokio::task::yield_now().await;
        drop(turn);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    static TURNSTILE: Turnstile = Turnstile::new();
    static ANSWERED: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test]
    async fn whoever_asks_for_something_else_does_not_wait_behind_a_thousand() {
        let mut tasks = JoinSet::new();
        for _ in 0..1_000 {
            tasks.spawn(async {
                TURNSTILE.pass().await;
                ANSWERED.fetch_add(1, Ordering::Relaxed);
                None
            });
        }
        // All are ready before this one is.
        tasks.spawn(async { Some(ANSWERED.load(Ordering::Relaxed)) });
        let ahead = tasks.join_all().await.into_iter().flatten().next().expect("it was there");
        assert!(ahead < 10, "{ahead} were answered before");
        assert_eq!(ANSWERED.load(Ordering::Relaxed), 1_000, "and all of them after it");
    }
}
