//! Room `integration`: what a delivery is, what is sent, and what follows from an answer.

mod body;

use jiff::SignedDuration;
use misy_core::{DeliveryId, EndpointId, EventId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use body::{fill, write};

/// How far a delivery has come. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryStatus)]
pub enum Status {
    /// It waits for its first or next try.
    Pending,
    /// It was answered with 2xx.
    Succeeded,
    /// It was given up.
    Dead,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Succeeded, Self::Dead].into_iter().find(|one| one.slug() == text)
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// What is delivered.
    pub event: EventId,
    /// Of which type that is; `None` if it was dropped with its day.
    pub kind: Option<String>,
    /// To whom.
    pub endpoint: EndpointId,
    /// Which earlier delivery it repeats.
    pub replay_of: Option<DeliveryId>,
    /// How far it has come.
    pub status: Status,
    /// Tries so far.
    pub attempts: i16,
    /// The status of the last answer.
    pub last_status: Option<i16>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// When it is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// When it was through.
    pub ended_at: Option<Timestamp>,
}

/// By which properties deliveries are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only those of this event.
    pub event: Option<EventId>,
    /// Only those that are so far.
    pub status: Option<Status>,
}

/// One try, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The how-manieth.
    pub number: i16,
    /// The answer's status.
    pub status: Option<i16>,
    /// From its beginning to its end, in milliseconds.
    pub elapsed_ms: i32,
    /// When it began.
    pub started_at: Timestamp,
    /// Where it went and with which headers; secret ones without their values.
    pub request: Value,
    /// The answer's headers, as far as they are kept.
    pub response_headers: Option<Value>,
    /// The answer's body, as far as it is kept.
    pub response_body: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// To which address.
    pub address: Option<String>,
}

/// A delivery that is to be made, with all it needs but the endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) id: DeliveryId,
    pub(crate) event: EventId,
    pub(crate) endpoint: EndpointId,
    pub(crate) kind: String,
    pub(crate) payload: String,
    /// The endpoint's version; `None` if it is gone.
    pub(crate) version: Option<i64>,
    /// Since when the endpoint does nothing but fail.
    pub(crate) failing_since: Option<Timestamp>,
}

/// What the other side did, as far as it decides what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered.
    Answered { status: u16, retry_after_ms: Option<u64> },
    /// It did not, or not in time.
    Silent,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has arrived.
    Arrived,
    /// It is tried again then; `pauses` if everything to this endpoint waits until then.
    Again { at: Timestamp, pauses: bool },
    /// It is given up.
    GivenUp,
    /// It is given up, and so is the endpoint: it said that it is gone for good.
    Gone,
}

/// However long a receiver wants to be left alone, it is asked again after a day.
const RETRY_AFTER_MAX_MS: u64 = 24 * 3_600 * 1_000;

/// What follows from a try. `attempts` counts it; `jitter` is a number of the whole range, so that
/// what failed together is not tried again together (+-20 %).
pub(crate) fn judge(
    outcome: Outcome,
    attempts: u32,
    schedule_s: &[u32],
    now: Timestamp,
    jitter: u32,
) -> Verdict {
    let (throttled, told_ms) = match outcome {
        Outcome::Answered { status: 200..=299, .. } => return Verdict::Arrived,
        Outcome::Answered { status: 410, .. } => return Verdict::Gone,
        Outcome::Answered { status, retry_after_ms } => {
            (matches!(status, 429 | 502 | 503 | 504), retry_after_ms)
        }
        Outcome::Silent => (false, None),
    };
    let failed = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(pause_s) = schedule_s.get(failed) else { return Verdict::GivenUp };
    let spread = 0.8 + 0.4 * f64::from(jitter) / f64::from(u32::MAX);
    let pause = SignedDuration::from_secs_f64(f64::from(*pause_s) * spread);
    let told_ms = told_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS);
    let told = SignedDuration::from_millis(i64::try_from(told_ms).unwrap_or(0));
    let at = now.checked_add(pause.max(told)).unwrap_or(Timestamp::MAX);
    Verdict::Again { at, pauses: throttled && told_ms > 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::model::SCHEDULE_S;

    const MIDDLE: u32 = u32::MAX / 2;

    fn after(outcome: Outcome, attempts: u32) -> Verdict {
        judge(outcome, attempts, &SCHEDULE_S, Timestamp::UNIX_EPOCH, MIDDLE)
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, retry_after_ms: None }
    }

    fn pause_s(verdict: Verdict) -> i64 {
        let Verdict::Again { at, .. } = verdict else { panic!("{verdict:?}") };
        at.as_second() + i64::from(at.subsec_nanosecond() > 0)
    }

    #[test]
    fn the_schedule_is_kept_and_then_it_is_given_up() {
        let pauses: Vec<i64> = (1..=7).map(|tries| pause_s(after(answered(500), tries))).collect();
        assert_eq!(pauses, [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]);
        assert_eq!(after(answered(500), 8), Verdict::GivenUp);
        assert_eq!(after(Outcome::Silent, 8), Verdict::GivenUp);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let at = |jitter| judge(Outcome::Silent, 2, &SCHEDULE_S, Timestamp::UNIX_EPOCH, jitter);
        assert_eq!((pause_s(at(0)), pause_s(at(u32::MAX))), (240, 360));
    }

    #[test]
    fn only_2xx_has_arrived_and_a_redirect_has_not() {
        assert_eq!(after(answered(204), 1), Verdict::Arrived);
        for status in [100, 301, 307, 400, 404, 500] {
            assert!(matches!(after(answered(status), 1), Verdict::Again { .. }), "{status}");
        }
    }

    #[test]
    fn gone_is_gone_at_the_first_word() {
        assert_eq!(after(answered(410), 1), Verdict::Gone);
    }

    #[test]
    fn retry_after_makes_a_pause_longer_and_never_shorter() {
        let told = |status, ms| Outcome::Answered { status, retry_after_ms: Some(ms) };
        assert_eq!(pause_s(after(told(503, 60_000), 1)), 60);
        assert_eq!(pause_s(after(told(503, 1_000), 2)), 300);
        assert_eq!(pause_s(after(told(429, u64::MAX), 1)), 24 * 3_600);
        let pauses = |outcome| matches!(after(outcome, 1), Verdict::Again { pauses: true, .. });
        assert!(pauses(told(429, 9_000)) && pauses(told(503, 9_000)));
        assert!(!pauses(told(500, 9_000)) && !pauses(answered(429)));
    }
}
