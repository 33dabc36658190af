//! Room `integration`: another service that a tenant hears from, and what was received from it.

mod challenge;
mod check;
mod coded;
mod mapping;
mod presets;
mod request;
mod scheme;
mod secrets;

use misy_core::error::Fault;
use misy_core::{Code, EventId, Public, ReceiptId, SourceId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Below;

pub use challenge::{Answer, answer_signed, answer_unsigned, shake_hands};
pub use check::{Refusal, With, check, external_id, marks};
pub(crate) use coded::{certificate_der, paypal_certificate_url};
pub(crate) use mapping::map;
pub use presets::{Preset, all as presets, find as find_preset};
pub use request::Incoming;
pub use scheme::{
    Algorithm, Challenge, Encoding, KeyForm, Part, Repetition, Scheme, SignedTime, TimeForm,
};
pub(crate) use secrets::fault as secret_fault;
pub use secrets::{SECRETS_MAX, Secrets};

/// Requests of a source a second, at most, if nothing else is said.
pub const RATE_PER_S: u32 = 100;

/// Bytes of a schema or a template, at most.
const TEXT_MAX_BYTES: usize = 64 * 1024;

/// Whether anything is taken from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceStatus)]
pub enum Status {
    /// What is genuine is taken.
    Enabled,
    /// Everything is refused, as if there were no such source.
    Disabled,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// How a source is listened to; nothing of it is secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = SourceSettings)]
pub struct Settings {
    /// A provider of `/v1/source-presets`. Either this or `scheme`.
    #[schema(example = "stripe")]
    pub preset: Option<String>,
    /// A scheme of your own.
    pub scheme: Option<Scheme>,
    /// Seconds before and after now in which a signed time is good, instead of the scheme's.
    #[schema(minimum = 1, maximum = 604_800)]
    pub tolerance_s: Option<u32>,
    /// The address as the sender has it, if it is not the one shown: for senders that sign it.
    #[schema(max_length = 2_000)]
    pub public_url: Option<String>,
    /// Requests a second, at most: 100 if not given.
    #[schema(minimum = 1, maximum = 10_000)]
    pub rate_per_s: Option<u32>,
    /// JSON Schema of the body. What does not keep to it is kept, and not told.
    #[schema(value_type = Option<Object>)]
    pub schema: Option<Value>,
    /// As which event it is told: a type of your own, or text with placeholders like
    /// `shop.{{/body/type}}`; `webhook_source.received` if not given.
    #[schema(max_length = 200, example = "payment.{{/body/type}}")]
    pub event_type: Option<String>,
    /// What the event says: JSON in which a text like `{{/body/id}}` is replaced by what that JSON
    /// pointer (RFC 6901) finds in `{"body": .., "headers": .., "query": ..}`; the body if not
    /// given.
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
}

impl Settings {
    /// The scheme that holds: the preset's, or the source's own.
    pub fn scheme(&self) -> Option<Scheme> {
        match &self.preset {
            Some(slug) => find_preset(slug).map(|preset| preset.scheme),
            None => self.scheme.clone(),
        }
    }

    /// What is wrong with them.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut say = |pointer: &str, detail: &str| {
            faults
                .push(Fault { pointer: format!("/settings{pointer}"), detail: detail.to_owned() });
        };
        match (&self.preset, &self.scheme) {
            (None, None) => say("/preset", "is missing, and there is no scheme"),
            (Some(_), Some(_)) => say("/scheme", "give either a preset or a scheme"),
            (Some(slug), None) if find_preset(slug).is_none() => {
                say("/preset", "is none of /v1/source-presets");
            }
            _ => {}
        }
        let address = self.public_url.as_deref().map(url::Url::parse);
        let web = |url: &url::Url| matches!(url.scheme(), "http" | "https");
        if address.is_some_and(|url| !url.as_ref().is_ok_and(web)) {
            say("/public_url", "is no address of the web");
        }
        if self.rate_per_s.is_some_and(|rate| !(1..=10_000).contains(&rate)) {
            say("/rate_per_s", "is not between 1 and 10000");
        }
        if self.tolerance_s.is_some_and(|s| !(1..=scheme::TOLERANCE_MAX_S).contains(&s)) {
            say("/tolerance_s", "is not between 1 and 604800");
        }
        for (at, value) in [("/schema", &self.schema), ("/data", &self.data)] {
            if value.as_ref().is_some_and(|value| value.to_string().len() > TEXT_MAX_BYTES) {
                say(at, "has more than 65536 bytes");
            }
        }
        if let Some(schema) = &self.schema
            && mapping::compile(schema).is_err()
        {
            say("/schema", "is no JSON Schema that can be used");
        }
        if let Some(wrong) = self.event_type.as_deref().and_then(mapping::type_fault) {
            say("/event_type", wrong);
        }
        faults.extend(self.scheme.iter().flat_map(scheme::faults));
        faults
    }
}

/// Another service that a tenant hears from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its id, the last part of its address.
    pub id: SourceId,
    /// What it is called.
    pub name: String,
    /// Whether anything is taken from it.
    pub status: Status,
    /// How it is listened to.
    pub settings: Settings,
    /// Goes up with every change by its owner.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// How often a source's senders were refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were refused.
    pub refusals: i64,
    /// Requests that came before.
    pub repetitions: i64,
    /// When one was refused last.
    pub last_refused_at: Option<Timestamp>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceReceiptStatus)]
pub enum Stage {
    /// It is genuine and kept; it will be told.
    Stored,
    /// It was told as an event.
    Forwarded,
    /// It does not keep to the source's schema, or makes no event. It is kept.
    Invalid,
    /// It was not genuine.
    Refused,
    /// It came before.
    Duplicate,
}

impl Stage {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Stored, Self::Forwarded, Self::Invalid, Self::Refused, Self::Duplicate];

    /// Whether its body is kept, so that it can be told again.
    pub const fn is_kept(self) -> bool {
        matches!(self, Self::Stored | Self::Forwarded | Self::Invalid)
    }

    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Forwarded => "forwarded",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Duplicate => "duplicate",
        }
    }

    /// Reads [`Stage::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.slug() == text)
    }
}

/// Something that was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Its id.
    pub id: ReceiptId,
    /// From which source.
    pub source: SourceId,
    /// What became of it.
    pub stage: Stage,
    /// Why it was refused or is not valid.
    pub reason: Option<String>,
    /// What is wrong with its body, each a pointer and what should be there.
    pub faults: Option<Value>,
    /// The sender's own id of it.
    pub external_id: Option<String>,
    /// The query of its address.
    pub query: Option<String>,
    /// Its headers, without those that prove who sent it.
    pub headers: Value,
    /// The body as it came; `None` if it was not kept.
    pub body: Option<Vec<u8>>,
    /// How long the body was.
    pub body_bytes: i32,
    /// The event that was made of it.
    pub event: Option<EventId>,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was told, or found to be wrong.
    pub processed_at: Option<Timestamp>,
}

/// Why something about a source cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such source or receipt.
    #[error("no such source")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the source was changed meanwhile")]
    Stale,
    /// The tenant has as many as it may.
    #[error("the tenant has {0} sources")]
    TooMany(u16),
    /// What was given is wrong.
    #[error("the source is not valid")]
    Invalid(Vec<Fault>),
    /// A receipt cannot be replayed.
    #[error("the receipt cannot be replayed")]
    NotReplayable,
    /// The secrets do not open.
    #[error("the source's secrets do not open")]
    Sealed,
    /// The request is refused; the caller is told the same whatever the reason.
    #[error("the request is refused")]
    Refused,
    /// The handshake is refused.
    #[error("the handshake is refused")]
    Handshake,
    /// More requests came than may.
    #[error("too many requests of a source")]
    TooFast,
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
            Self::NotFound => Code::NotFound,
            Self::Stale => Code::Stale,
            Self::TooMany(_) | Self::NotReplayable => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
            Self::Sealed => Code::Internal,
            Self::Refused => Code::InvalidSignature,
            Self::Handshake => Code::VerificationFailed,
            Self::TooFast => Code::RateLimited,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::TooMany(most) => Some(format!("There may be {most} sources; remove one.")),
            Self::NotReplayable => {
                Some("Only what is kept and was looked at can be replayed.".to_owned())
            }
            Self::Below(error) => error.detail(),
            _ => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        if let Self::Invalid(faults) = self { faults.clone() } else { Vec::new() }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::TooFast => Some(1),
            Self::Below(error) => error.retry_after_s(),
            _ => None,
        }
    }
}
