//! Room `web`: a turnstile for those whom nobody knows yet: who sign in, above all. A thousand at
//! once are ready at once, and whoever is known would wait behind them all. So they go through a
//! step behind one another, and in between everybody else has the runtime, and the machine.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The time from one to the next. A password takes a hundred times as long, so nobody signs in
/// later for it; but a thread that answers one after the other without a pause keeps everybody
/// else from its core until the scheduler's next tick, which is milliseconds away.
const STEP: Duration = Duration::from_micros(250);

/// As far as the runtime's clock can be late; who was held up by that goes through at once.
const LATE: Duration = Duration::from_millis(1);

/// In the order they came. Who leaves while waiting takes no step, so that nobody can make others
/// wait by asking and hanging up.
pub(crate) struct Turnstile {
    /// When the next one may go through, if anybody ever has.
    next: Mutex<Option<Instant>>,
}

impl Turnstile {
    pub(crate) const fn new() -> Self {
        Self { next: Mutex::const_new(None) }
    }

    /// Goes through at once, or a step behind the one before. Nothing is held while the request is
    /// answered: how many passwords are hashed at once is not for this to say.
    pub(crate) async fn pass(&self) {
        let mut next = self.next.lock().await;
        // A wait is rounded up to the runtime's clock, even one that is over.
        if let Some(turn) = next.filter(|turn| *turn > Instant::now()) {
            sleep_until(turn).await;
        }
        *next = Some(step_behind(*next, Instant::now()));
    }
}

/// When the next one may go through after somebody has now whose turn was then.
fn step_behind(turn: Option<Instant>, now: Instant) -> Instant {
    let begun = turn.map_or(now, |turn| turn.max(now - LATE));
    begun + STEP
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
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
        let now = Instant::now();
        assert_eq!(step_behind(None, now), now + STEP);
        assert_eq!(step_behind(Some(now), now), now + STEP);
        assert_eq!(step_behind(Some(now - 2 * STEP), now), now - STEP, "the clock was late");
        assert_eq!(step_behind(Some(now - 9 * LATE), now), now - LATE + STEP, "nobody came");
    }

    #[tokio::test]
    async fn who_hangs_up_while_waiting_makes_nobody_wait() {
        let turnstile = Turnstile::new();
        for _ in 0..20_000 {
            let _ = turnstile.pass().now_or_never();
        }
        let begun = Instant::now();
        turnstile.pass().await;
        assert!(begun.elapsed() < 10_000 * STEP, "only those who went through count");
    }
}
