//! Room `egress`: why there is no answer, and whether the request may have arrived all the same.

use misy_core::Misplaced;
use misy_core::error::{Code, Public};

/// A call without a complete answer. An answer with an error status is an [`crate::Answer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The target is not allowed: scheme, credentials in the URL, or an address of an inner
    /// network. Nothing was sent.
    #[error("the target is not allowed: {0}")]
    Refused(String),
    /// The call is for another tenant than the one on whose behalf it would be made. Nothing was
    /// sent.
    #[error("not sent: {0}")]
    Misplaced(Misplaced),
    /// No connection: name, network or TLS. Certainly not delivered.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was sent, at least in part, and no complete answer came: it may or may not have worked.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The answer is larger than allowed; the request did arrive.
    #[error("the answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that was passed.
        limit_bytes: usize,
        /// The status of the answer.
        status: u16,
    },
    /// The other side failed too often in a row; nothing is sent for a while.
    #[error("the other side is failing, nothing is sent for {retry_after_ms} ms")]
    BreakerOpen {
        /// When to come back, in milliseconds from now.
        retry_after_ms: u64,
    },
    /// The turn of this call is too far away; nothing was sent.
    #[error("the rate limit is reached for {retry_after_ms} ms")]
    Limited {
        /// When to come back, in milliseconds from now.
        retry_after_ms: u64,
    },
}

impl Error {
    /// Whether the request certainly did not arrive, so that repeating it cannot do it twice.
    pub const fn is_not_delivered(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::Misplaced(_)
            | Self::NotSent(_)
            | Self::BreakerOpen { .. }
            | Self::Limited { .. } => true,
            Self::Unknown(_) | Self::TooLarge { .. } => false,
        }
    }

    /// When to come back, in milliseconds, if this side knows.
    pub const fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::BreakerOpen { retry_after_ms } | Self::Limited { retry_after_ms } => {
                Some(*retry_after_ms)
            }
            _ => None,
        }
    }

    /// A label for counters; one of a closed set.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Refused(_) | Self::Misplaced(_) => "refused",
            Self::NotSent(_) => "not_sent",
            Self::Unknown(_) => "unknown",
            Self::TooLarge { .. } => "too_large",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Limited { .. } => "limited",
        }
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Refused(_) => Code::HostNotAllowed,
            Self::Misplaced(refusal) => refusal.code(),
            Self::NotSent(_) | Self::BreakerOpen { .. } | Self::Limited { .. } => Code::Unavailable,
            Self::Unknown(_) | Self::TooLarge { .. } => Code::Timeout,
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Refused(why) => Some(format!("The host is not allowed: {why}.")),
            _ => None,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_ms().map(|ms| u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_never_left_may_be_repeated_freely() {
        assert!(Error::NotSent(String::new()).is_not_delivered());
        assert!(!Error::Unknown(String::new()).is_not_delivered());
        assert!(!Error::TooLarge { limit_bytes: 1, status: 200 }.is_not_delivered());
    }

    #[test]
    fn waiting_is_told_in_whole_seconds_rounded_up() {
        let error = Error::Limited { retry_after_ms: 1_001 };
        assert_eq!((error.code(), error.retry_after_s()), (Code::Unavailable, Some(2)));
    }
}
