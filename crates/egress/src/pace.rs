//! Room `egress`: the pace of one lane, by the generic cell rate algorithm (ITU-T I.371, GCRA) in
//! its queueing form: a call is told how long until its turn and holds its place from then on, so
//! turns come in the order of asking. `Retry-After` stops the lane, a used-up allowance spaces it
//! out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Config, Pacing};

/// From this share of the allowance on, calls are spaced out.
const SLOW_FROM_PERCENT: u32 = 80;
/// By how much more with each further per cent.
const SPACING_STEP: Duration = Duration::from_millis(100);
/// For how long an old statement on the allowance holds.
const SPACING_HOLDS: Duration = Duration::from_mins(5);
/// How long to stop when the allowance is used up and nobody says for how long.
const USED_UP_PAUSE: Duration = Duration::from_mins(1);
/// No statement of the other side stops a lane for longer.
const PAUSE_MAX: Duration = Duration::from_hours(1);

#[derive(Debug)]
struct State {
    /// The theoretical arrival time: when the lane would be idle again at its steady rate.
    arrival: Option<Instant>,
    paused_until: Option<Instant>,
    spacing: Duration,
    spacing_until: Option<Instant>,
}

/// The pace of one lane.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    interval: Duration,
    tolerance: Duration,
}

impl Pace {
    pub(crate) fn new(config: &Config) -> Self {
        let interval = Duration::from_secs(1) / config.rate_per_s.max(1);
        let state = State {
            arrival: None,
            paused_until: None,
            spacing: Duration::ZERO,
            spacing_until: None,
        };
        let tolerance = interval * config.burst.saturating_sub(1);
        Self { state: Mutex::new(state), interval, tolerance }
    }

    /// Takes the next turn and says how long until then; if that is longer than `wait_max` no turn
    /// is taken.
    pub(crate) fn reserve(&self, now: Instant, wait_max: Duration) -> Result<Duration, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let spaced = state.spacing_until.is_some_and(|until| now < until);
        let (interval, tolerance) = if spaced {
            (self.interval.max(state.spacing), Duration::ZERO)
        } else {
            (self.interval, self.tolerance)
        };
        let arrival = state.arrival.unwrap_or(now);
        let conforming = arrival.checked_sub(tolerance).unwrap_or(now);
        let turn = conforming.max(now).max(state.paused_until.unwrap_or(now));
        let wait = turn - now;
        if wait > wait_max {
            return Err(wait);
        }
        state.arrival = Some(arrival.max(turn) + interval);
        Ok(wait)
    }

    /// Takes note of what the other side says.
    pub(crate) fn learn(&self, now: Instant, pacing: Pacing) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = pacing.used_percent.unwrap_or(0);
        let mut pause = pacing.pause_ms.map(Duration::from_millis);
        if used >= 100 {
            pause = Some(pause.unwrap_or(USED_UP_PAUSE));
        }
        if let Some(pause) = pause {
            let until = now + pause.min(PAUSE_MAX);
            state.paused_until = state.paused_until.max(Some(until));
        }
        if pacing.used_percent.is_some() {
            let over = (used + 1).saturating_sub(SLOW_FROM_PERCENT).min(21);
            state.spacing = SPACING_STEP * over;
            state.spacing_until = (over > 0).then_some(now + SPACING_HOLDS);
        }
    }

    /// Whether it remembers nothing that a new one would not know.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        [state.arrival, state.paused_until, state.spacing_until]
            .iter()
            .all(|until| until.is_none_or(|until| until <= now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_hours(1);

    fn pace(rate_per_s: u32, burst: u32) -> Pace {
        Pace::new(&Config { rate_per_s, burst, ..Config::default() })
    }

    fn waits_ms(pace: &Pace, now: Instant, calls: usize) -> Vec<u128> {
        (0..calls)
            .map(|_| pace.reserve(now, LONG).expect("an hour is enough").as_millis())
            .collect()
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_queues_in_order() {
        assert_eq!(waits_ms(&pace(10, 3), Instant::now(), 6), [0, 0, 0, 100, 200, 300]);
    }

    #[test]
    fn a_turn_too_far_away_is_not_taken() {
        let (pace, now) = (pace(1, 1), Instant::now());
        assert_eq!(waits_ms(&pace, now, 1), [0]);
        for _ in 0..3 {
            let refused = pace.reserve(now, Duration::from_millis(500));
            assert_eq!(refused, Err(Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_pause_stops_the_lane_and_ends() {
        let (pace, now) = (pace(100, 10), Instant::now());
        pace.learn(now, Pacing { pause_ms: Some(2_000), used_percent: None });
        assert_eq!(pace.reserve(now, Duration::ZERO), Err(Duration::from_secs(2)));
        assert_eq!(pace.reserve(now + Duration::from_secs(2), Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn above_eighty_per_cent_calls_are_spaced_until_the_share_falls() {
        let (pace, now) = (pace(100, 10), Instant::now());
        pace.learn(now, Pacing { pause_ms: None, used_percent: Some(89) });
        assert_eq!(waits_ms(&pace, now, 3), [0, 1_000, 2_000]);
        let later = now + Duration::from_secs(3);
        pace.learn(later, Pacing { pause_ms: None, used_percent: Some(12) });
        assert_eq!(waits_ms(&pace, later, 3), [0, 0, 0]);
    }

    #[test]
    fn a_used_up_allowance_stops_the_lane() {
        let (pace, now) = (pace(100, 10), Instant::now());
        pace.learn(now, Pacing { pause_ms: None, used_percent: Some(100) });
        assert_eq!(pace.reserve(now, Duration::ZERO), Err(USED_UP_PAUSE));
    }

    proptest! {
        #[test]
        fn no_window_of_a_second_holds_more_than_rate_and_burst(
            rate in 1u32..50,
            burst in 1u32..20,
            gaps_ms in prop::collection::vec(0u64..400, 1..120),
        ) {
            let (pace, start) = (pace(rate, burst), Instant::now());
            let mut now = start;
            let mut turns = Vec::new();
            for gap in gaps_ms {
                now += Duration::from_millis(gap);
                turns.push(now + pace.reserve(now, LONG).expect("an hour is enough"));
            }
            prop_assert!(turns.is_sorted(), "turns come in the order of asking");
            for first in &turns {
                let end = *first + Duration::from_secs(1);
                let inside = turns.iter().filter(|turn| **turn >= *first && **turn < end).count();
                prop_assert!(inside <= (rate + burst) as usize, "{inside} calls in a second");
            }
        }
    }
}
