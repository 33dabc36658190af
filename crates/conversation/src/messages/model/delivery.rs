//! Room `conversation`: tries to hand a message to its provider, and what follows from each.

use std::time::Duration;

use jiff::SignedDuration;
use misy_channel::event::Status;
use misy_channel::{Failure, FailureKind, SendError};
use misy_core::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// One try to hand a message to its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How it stands.
    pub state: AttemptState,
    /// Why it did not succeed.
    pub failure: Option<Failure>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while its outcome is not known.
    pub ended_at: Option<Timestamp>,
}

/// How a try stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// It was begun; if nobody is at it any more, its outcome is unknown.
    Sending,
    /// The provider took the message.
    Sent,
    /// It failed and another follows.
    Retry,
    /// It failed for good.
    Failed,
    /// The provider may or may not have taken it: its status will tell, or time.
    Unknown,
}

impl AttemptState {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Reads [`AttemptState::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Sending, Self::Sent, Self::Retry, Self::Failed, Self::Unknown];
        all.into_iter().find(|one| one.slug() == text)
    }
}

/// How often a message is handed over, throttling aside, before it counts as failed.
pub(crate) const TRIES_MAX: i64 = 5;

/// What to do with a message whose delivery is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A try was begun and is durable: call the provider.
    Send { attempt: Uuid },
    /// An earlier try has no end: wait for its status until then.
    Wait { until: Timestamp },
    /// It has waited long enough: close it and begin another.
    Again { attempt: Uuid },
    /// It has waited long enough and was the last: the message counts as failed.
    GiveUp { attempt: Uuid },
    /// Nothing is to be done any more.
    Done,
}

/// Decides by what the database said: the try it began, or the one that is open still; `tried`
/// counts the closed ones. `None` if the message is queued and yet nothing was begun or is open:
/// another worker is at it in this moment.
pub(crate) fn next(
    status: Status,
    begun: Option<Uuid>,
    open: Option<(Uuid, Timestamp)>,
    tried: i64,
    wait_ms: u64,
    now: Timestamp,
) -> Option<Next> {
    if status != Status::Queued {
        return Some(Next::Done);
    }
    if let Some(attempt) = begun {
        return Some(Next::Send { attempt });
    }
    let (attempt, started_at) = open?;
    let until = later(started_at, wait_ms);
    if now < until {
        return Some(Next::Wait { until });
    }
    let last = tried + 1 >= TRIES_MAX;
    Some(if last { Next::GiveUp { attempt } } else { Next::Again { attempt } })
}

/// So many milliseconds later, or the end of time.
pub(crate) fn later(from: Timestamp, wait_ms: u64) -> Timestamp {
    let wait = SignedDuration::from_millis(i64::try_from(wait_ms).unwrap_or(i64::MAX));
    from.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How a try ended and when the next is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Not now; counts as no try.
    Park { until: Timestamp },
    /// Again after a pause, this long at least.
    Retry { after: Duration },
    /// Outcome unknown: wait for a status until then.
    Unknown { until: Timestamp },
    /// For good; `unhealthy` if the account is to blame.
    Failed { unhealthy: bool },
}

const THROTTLED_MS: u64 = 5_000;

/// What follows from a failure. `tried` counts the tries before this one that a passing fault of
/// the provider had ended; throttling is not counted, because it says nothing about the message.
/// Pauses are 4, 16, 64 and 256 seconds, which outlasts a provider's restart.
pub(crate) fn after_failure(
    error: &SendError,
    tried: i64,
    started_at: Timestamp,
    wait_ms: u64,
    now: Timestamp,
) -> Ending {
    match error.failure.kind {
        FailureKind::Throttled => {
            let pause_ms = error.retry_after_ms.unwrap_or(THROTTLED_MS);
            Ending::Park { until: later(now, pause_ms) }
        }
        FailureKind::UnknownOutcome => Ending::Unknown { until: later(started_at, wait_ms) },
        FailureKind::Transient if tried + 1 < TRIES_MAX => {
            let pause = Duration::from_secs(4_u64.pow(u32::try_from(tried + 1).unwrap_or(1)));
            let asked = Duration::from_millis(error.retry_after_ms.unwrap_or(0));
            Ending::Retry { after: pause.max(asked) }
        }
        FailureKind::Account => Ending::Failed { unhealthy: true },
        FailureKind::Transient
        | FailureKind::WindowClosed
        | FailureKind::Recipient
        | FailureKind::OptedOut
        | FailureKind::Template
        | FailureKind::Payload => Ending::Failed { unhealthy: false },
    }
}
