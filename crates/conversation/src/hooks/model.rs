//! Room `conversation`: what a hook may be refused for, and which accounts were looked up lately.

use std::sync::Arc;
use std::time::Duration;

use misy_channel::{ReceiveError, VerifyError};
use misy_core::{ChannelId, Code, Misplaced, Public, TenantId};

use crate::{Below, channels};

/// Where a provider's account leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Whose account it is.
    pub tenant: TenantId,
    /// Our id of it.
    pub channel: ChannelId,
}

/// Look-ups of the last seconds, found or not, by kind and external id.
#[derive(Clone)]
pub struct Routes {
    found: moka::sync::Cache<(Arc<str>, String), Route>,
    absent: moka::sync::Cache<(Arc<str>, String), ()>,
}

impl Default for Routes {
    fn default() -> Self {
        Self { found: lasting(5), absent: lasting(1) }
    }
}

fn lasting<T: Clone + Send + Sync + 'static>(
    seconds: u64,
) -> moka::sync::Cache<(Arc<str>, String), T> {
    let kept = Duration::from_secs(seconds);
    moka::sync::Cache::builder().max_capacity(50_000).time_to_live(kept).build()
}

/// What is remembered of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Found(Route),
    Absent,
    Unknown,
}

impl Routes {
    pub(crate) fn look(&self, kind: &str, external_id: &str) -> Known {
        let key = (Arc::from(kind), external_id.to_owned());
        match self.found.get(&key) {
            Some(route) => Known::Found(route),
            None if self.absent.contains_key(&key) => Known::Absent,
            None => Known::Unknown,
        }
    }

    pub(crate) fn keep(&self, kind: &str, external_id: &str, route: Option<Route>) {
        let key = (Arc::from(kind), external_id.to_owned());
        match route {
            Some(route) => self.found.insert(key, route),
            None => self.absent.insert(key, ()),
        }
    }

    /// Forgets what may have changed.
    pub(crate) fn forget(&self, kind: &str, external_id: &str) {
        let key = (Arc::from(kind), external_id.to_owned());
        self.found.invalidate(&key);
        self.absent.invalidate(&key);
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Parts that were stored, now or by an earlier delivery.
    pub stored: usize,
    /// Parts whose account is not connected here; acknowledged, so that the provider stops sending.
    pub unknown: usize,
    /// Parts whose signature is wrong.
    pub refused: usize,
}

impl Outcome {
    /// A label for metrics.
    pub const fn label(self) -> &'static str {
        match (self.stored, self.refused) {
            (0, 0) => "unknown_account",
            (0, _) => "bad_signature",
            (_, 0) => "stored",
            _ => "partly_stored",
        }
    }
}

/// Why a hook is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such hook.
    #[error("no such hook")]
    NotFound,
    /// The payload is not one of the provider's.
    #[error(transparent)]
    Unreadable(#[from] ReceiveError),
    /// The signature is wrong or missing.
    #[error(transparent)]
    Signature(VerifyError),
    /// It names another tenant than the one whose account it is for.
    #[error(transparent)]
    Misplaced(Misplaced),
    /// The handshake's token is wrong.
    #[error("the handshake is refused")]
    Handshake,
    /// More is waiting to be stored than can be held.
    #[error("the inbox is full for the moment")]
    Full,
    /// It could not be stored; the provider will deliver again.
    #[error("the payload could not be stored")]
    NotStored,
    /// The account.
    #[error(transparent)]
    Channel(#[from] channels::Error),
    /// The database.
    #[error(transparent)]
    Below(Below),
}

impl<E: Into<Below>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Unreadable(_) => Code::MalformedRequest,
            Self::Signature(_) => Code::InvalidSignature,
            Self::Misplaced(refusal) => refusal.code(),
            Self::Handshake => Code::VerificationFailed,
            Self::Full | Self::NotStored => Code::Unavailable,
            Self::Channel(error) => error.code(),
            Self::Below(error) => error.code(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        (self.code() == Code::Unavailable).then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    #[test]
    fn a_look_up_is_remembered_by_kind_and_id() {
        let routes = Routes::default();
        let route = Route {
            tenant: TenantId::from_uuid(Uuid::from_u128(1)),
            channel: ChannelId::from_uuid(Uuid::from_u128(2)),
        };
        routes.keep("a", "1", Some(route));
        routes.keep("a", "2", None);
        assert_eq!(routes.look("a", "1"), Known::Found(route));
        assert_eq!(routes.look("a", "2"), Known::Absent);
        assert_eq!(routes.look("b", "1"), Known::Unknown);
        routes.forget("a", "1");
        routes.forget("a", "2");
        assert_eq!(routes.look("a", "1"), Known::Unknown);
        assert_eq!(routes.look("a", "2"), Known::Unknown);
    }
}
