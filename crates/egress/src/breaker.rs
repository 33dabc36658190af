//! Room `egress`: the circuit breaker of one lane. After so many failures in a row it opens, after
//! a while it lets one probe through, and each failed probe doubles the while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Config;

/// How a call ended, as far as the other side's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answered, if only to refuse.
    Well,
    /// No answer, or one that says it is broken.
    Ill,
    /// The call ended for reasons of ours.
    Untold,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, round: u32 },
    Probing { since: Instant, round: u32 },
}

/// The state of one lane.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: Mutex<State>,
    failures_max: u32,
    open_first: Duration,
    open_max: Duration,
    probe_max: Duration,
}

impl Breaker {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            state: Mutex::new(State::Closed { failures: 0 }),
            failures_max: config.breaker_failures,
            open_first: Duration::from_millis(config.breaker_open_ms),
            open_max: Duration::from_millis(config.breaker_open_max_ms),
            probe_max: config.deadline(None),
        }
    }

    /// Lets a call pass, or says for how long none will.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if now < until => Err(until - now),
            State::Open { round, .. } => {
                *state = State::Probing { since: now, round };
                Ok(())
            }
            // A probe whose caller vanished must not keep the lane shut.
            State::Probing { since, round } if now >= since + self.probe_max => {
                *state = State::Probing { since: now, round };
                Ok(())
            }
            State::Probing { since, .. } => Err(since + self.probe_max - now),
        }
    }

    /// Takes note of how a call ended. Calls that began before the breaker opened and end after it
    /// change nothing: only the probe decides then.
    pub(crate) fn hear(&self, health: Health, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match (*state, health) {
            (State::Closed { .. } | State::Probing { .. }, Health::Well) => {
                State::Closed { failures: 0 }
            }
            (State::Closed { failures }, Health::Ill) if failures + 1 < self.failures_max => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. }, Health::Ill) => self.open(now, 0),
            (State::Probing { round, .. }, Health::Ill) => self.open(now, round + 1),
            (State::Probing { round, .. }, Health::Untold) => State::Open { until: now, round },
            (unchanged, _) => unchanged,
        };
    }

    /// Whether it remembers nothing that a new one would not know.
    pub(crate) fn is_fresh(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Closed { failures: 0 })
    }

    fn open(&self, now: Instant, round: u32) -> State {
        let factor = 1u32 << round.min(16);
        let pause = self.open_first.saturating_mul(factor).min(self.open_max);
        State::Open { until: now + pause, round }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn breaker() -> Breaker {
        Breaker::new(&Config { breaker_failures: 3, breaker_open_ms: 1_000, ..Config::default() })
    }

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            breaker.hear(Health::Ill, now);
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_before() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 2, now);
        breaker.hear(Health::Well, now);
        fail(&breaker, 2, now);
        assert_eq!(breaker.admit(now), Ok(()));
        fail(&breaker, 1, now);
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(1)));
    }

    #[test]
    fn one_probe_passes_and_each_failed_one_doubles_the_pause() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        let later = now + Duration::from_secs(1);
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err(), "only one probe at a time");
        breaker.hear(Health::Ill, later);
        assert_eq!(breaker.admit(later), Err(Duration::from_secs(2)));
        let much_later = later + Duration::from_secs(2);
        assert_eq!(breaker.admit(much_later), Ok(()));
        breaker.hear(Health::Well, much_later);
        assert!(breaker.is_fresh());
    }

    #[test]
    fn a_probe_that_was_given_up_lets_the_next_one_pass() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        let later = now + Duration::from_secs(1);
        assert_eq!(breaker.admit(later), Ok(()));
        breaker.hear(Health::Untold, later);
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[test]
    fn a_late_success_from_before_does_not_close_it() {
        let (breaker, now) = (breaker(), Instant::now());
        fail(&breaker, 3, now);
        breaker.hear(Health::Well, now);
        assert!(breaker.admit(now).is_err());
    }

    proptest! {
        /// Whatever happens, waiting as long as it says is enough to be let through once.
        #[test]
        fn it_never_shuts_for_good(steps in prop::collection::vec((0u8..4, 0u64..3_000), 0..80)) {
            let breaker = breaker();
            let mut now = Instant::now();
            for (step, ms) in steps {
                now += Duration::from_millis(ms);
                match step {
                    0 => breaker.hear(Health::Ill, now),
                    1 => breaker.hear(Health::Well, now),
                    2 => breaker.hear(Health::Untold, now),
                    _ => drop(breaker.admit(now)),
                }
            }
            if let Err(wait) = breaker.admit(now) {
                prop_assert!(wait <= breaker.open_max.max(breaker.probe_max));
                prop_assert_eq!(breaker.admit(now + wait), Ok(()));
            }
        }
    }
}
