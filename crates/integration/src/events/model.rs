//! Room `integration`: what an event of a tenant's own may be.

use misy_core::error::Fault;
use misy_core::event::EventType;
use misy_core::{ChannelId, Code, EventId, Public, Timestamp};
use serde_json::Value;

use crate::Below;

/// Events that are published together, at most.
pub const BATCH_MAX: usize = 500;

/// Bytes of an event's data, at most.
pub const DATA_MAX_BYTES: usize = 256 * 1024;

/// An event of a tenant's own.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its type, for example `order.created`.
    pub kind: String,
    /// What is said of it.
    pub data: Value,
    /// Over which channel account it happened.
    pub channel: Option<ChannelId>,
    /// When it happened; now if not given.
    pub at: Option<Timestamp>,
}

/// An event that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, which receivers see as `webhook-id`.
    pub id: EventId,
    /// Its type.
    pub kind: String,
    /// Over which channel account it happened.
    pub channel: Option<ChannelId>,
    /// What is sent of it.
    pub payload: Value,
}

/// Whether it is the name of a type: `area.what`, at least two words of `a-z`, `0-9` and `_`.
pub fn is_type(text: &str) -> bool {
    let word = |word: &str| {
        let rest = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        word.starts_with(|first: char| first.is_ascii_lowercase()) && word.bytes().all(rest)
    };
    text.len() <= 100 && text.contains('.') && text.split('.').all(word)
}

/// Whether it is a type, or `area.*` for all types of an area.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.strip_suffix("*").is_some_and(|area| is_type(&format!("{area}x"))) || is_type(text)
}

/// What is wrong with an event of a tenant's own. Areas of ours are not for others.
pub(crate) fn faults(event: &NewEvent, at: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut say = |pointer: &str, detail: &str| {
        faults.push(Fault { pointer: format!("{at}{pointer}"), detail: detail.to_owned() });
    };
    let area = event.kind.split('.').next().unwrap_or_default();
    if !is_type(&event.kind) {
        say("/type", "expected a type like order.created");
    } else if EventType::ALL.iter().any(|one| one.area() == area) {
        say("/type", "this area is MisyBot's own");
    }
    let text = event.data.to_string();
    if text.len() > DATA_MAX_BYTES {
        say("/data", "has more than 262144 bytes");
    }
    if text.contains("\\u0000") {
        say("/data", "holds U+0000, which cannot be stored");
    }
    faults
}

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given is wrong.
    #[error("the event is not valid")]
    Invalid(Vec<Fault>),
    /// More is waiting for this tenant's endpoints than may.
    #[error("too many deliveries wait")]
    Full,
    /// The database was away, or too busy.
    #[error("the events could not be kept")]
    NotKept,
    /// There is no such event.
    #[error("no such event")]
    NotFound,
    /// A lower room.
    #[error(transparent)]
    Below(#[from] Below),
}

impl From<misy_store::Error> for Error {
    fn from(error: misy_store::Error) -> Self {
        Self::Below(error.into())
    }
}

impl From<misy_core::ctx::Denied> for Error {
    fn from(error: misy_core::ctx::Denied) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::Invalid,
            Self::Full => Code::RateLimited,
            Self::NotKept => Code::Unavailable,
            Self::NotFound => Code::NotFound,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Full => {
                Some("So many deliveries wait that nothing more is taken for now.".to_owned())
            }
            Self::Below(error) => error.detail(),
            _ => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Full => Some(10),
            Self::NotKept => Some(1),
            Self::Below(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_is_words_with_dots_between() {
        for text in ["order.created", "a.b.c", "order_2.paid"] {
            assert!(is_type(text) && is_pattern(text), "{text}");
        }
        for text in ["", "order", "order.", ".created", "Order.created", "order created", "a.*"] {
            assert!(!is_type(text), "{text}");
        }
        assert!(is_pattern("order.*") && is_pattern("a.b.*"));
        for text in ["*", "order*", "order.*.x", ".*", "order.**"] {
            assert!(!is_pattern(text), "{text}");
        }
    }

    #[test]
    fn every_type_of_the_catalogue_is_one_and_closed_to_tenants() {
        for one in EventType::ALL {
            assert!(is_type(one.slug()));
            let new =
                NewEvent { kind: one.slug().into(), data: json!({}), channel: None, at: None };
            assert_eq!(faults(&new, "/events/3")[0].pointer, "/events/3/type");
        }
    }

    #[test]
    fn data_that_cannot_be_kept_is_refused() {
        let of = |data| NewEvent { kind: "a.b".into(), data, channel: None, at: None };
        assert_eq!(faults(&of(json!("a\0b")), "").len(), 1);
        assert_eq!(faults(&of(json!("x".repeat(DATA_MAX_BYTES))), "").len(), 1);
        assert!(faults(&of(json!({"a": [1, null]})), "").is_empty());
    }
}
