//! Room `web`: a turnstile for those whom nobody knows yet: who sign in, above all. A thousand at
//! once are ready at once, and whoever is known would wait behind them all. So they go through a
//! step behind one another, and in between everybody else has the runtime, and the machine.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The least time from one to the next. A password takes a hundred times as long, so nobody signs
/// in later for it; but a thread that answers one after the other without a pause keeps everybody
/// else from its core until the scheduler's next tick, which is milliseconds away.
const STEP: Duration = Duration::from_micros(250);

/// In the order they came.
pub(crate) struct Turnstile {
    /// When the next one may go through, if anybody ever has.
    next: Mutex<Option<Instant>>,
}

impl Turnstile {
    pub(crate) const fn new() -> Self {
        Self { next: Mutex::new(None) }
    }

    /// Goes through at once, or a step behind the one before. Nothing is held while the request is
    /// answered: how many passwords are hashed at once is not for this to say.
    pub(crate) async fn pass(&self) {
        let now = Instant::now();
        let turn = self.take_turn(now);
        if turn > now {
            sleep_until(turn).await;
        }
    }

    fn take_turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + STEP);
        turn
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

    #[test]
    fn who_comes_right_behind_another_goes_a_step_behind() {
        let (turnstile, now) = (Turnstile::new(), Instant::now());
        let turns: Vec<Instant> = (0..3).map(|_| turnstile.take_turn(now)).collect();
        assert_eq!(turns, [now, now + STEP, now + 2 * STEP]);
        let later = now + 5 * STEP;
        assert_eq!(turnstile.take_turn(later), later, "nobody has just gone through");
    }
}
