//! Room `jobs`: a claimed job, and what became of it.

use std::time::Duration;

use misy_core::{JobId, TenantId, Timestamp};
use uuid::Uuid;

/// A job that this process holds.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) hold: Hold,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) name: String,
    pub(crate) payload: String,
    pub(crate) envelope: String,
    /// Attempts so far, this one included.
    pub(crate) attempts: u32,
    /// When it could have run at the earliest.
    pub(crate) due: Timestamp,
}

/// What proves that a job is held: the lease is in the row only until somebody else takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) id: JobId,
    pub(crate) lease: Uuid,
    /// The tenant, or the nil one for the platform.
    pub(crate) owner: Uuid,
    pub(crate) lane: Option<String>,
}

/// A job's end, or the end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Failed; again at this time.
    Retry {
        at: Timestamp,
        error: String,
    },
    /// Not now; again at this time, as if it had not been tried.
    Park {
        until: Timestamp,
    },
    /// Not begun or not finished by a worker that stops; again at once, as if it had not been
    /// tried.
    GiveBack,
    /// Failed for good.
    Bury {
        at: Timestamp,
        error: String,
    },
}

impl Outcome {
    /// In logs, figures and traces.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retry",
            Self::Park { .. } | Self::GiveBack => "parked",
            Self::Bury { .. } => "buried",
        }
    }

    /// When it is to run again.
    pub(crate) fn again_at(&self) -> Option<Timestamp> {
        match self {
            Self::Retry { at, .. } => Some(*at),
            Self::Park { until } => Some(*until),
            Self::Done | Self::GiveBack | Self::Bury { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) hold: Hold,
    pub(crate) outcome: Outcome,
}

/// A time further on; the end of time if that is beyond the calendar.
pub(crate) fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
