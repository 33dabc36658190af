//! Room `integration`: what an endpoint is, and what of it may be.

mod conditions;
mod faults;
mod oauth;

use std::collections::BTreeMap;

use misy_core::error::Fault;
use misy_core::{ChannelId, Code, EndpointId, Public, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Below;
use crate::signatures::SigningKey;
use crate::signatures::model::Scheme;

pub use conditions::{Condition, Operator, predicate};
pub(crate) use faults::{faults, wants};
pub use oauth::{ClientAuthentication, OAuth};

/// When a failed delivery is tried again, in seconds after the try before: 5 s, 5 min, 30 min, 2 h,
/// 5 h, 10 h, 10 h (the schedule of Standard Webhooks).
pub const SCHEDULE_S: [u32; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// How long a secret that was replaced stays good, in seconds, if nothing else is said.
pub const OVERLAP_S: u32 = 24 * 3_600;

/// Secrets that are good at the same time, at most.
pub const SECRETS_MAX: usize = 5;

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EndpointStatus)]
pub enum Status {
    /// Its owner has not shown yet that it is theirs; it gets nothing but the challenge.
    Unverified,
    /// It gets what it wants.
    Enabled,
    /// It gets nothing.
    Disabled,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unverified, Self::Enabled, Self::Disabled].into_iter().find(|it| it.slug() == text)
    }
}

/// Why an endpoint was switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// By its owner.
    Owner,
    /// It answered 410.
    Gone,
    /// It failed for days without a success in between.
    Failing,
}

impl DisabledReason {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// Reads [`DisabledReason::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Owner, Self::Gone, Self::Failing].into_iter().find(|it| it.slug() == text)
    }
}

/// The form in which an event is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `{"type", "timestamp", "data"}`.
    #[default]
    Standard,
    /// `CloudEvents` 1.0 in structured mode (`application/cloudevents+json`).
    Cloudevents,
}

/// How an endpoint is delivered to; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = WebhookEndpointSettings)]
pub struct Settings {
    /// Headers that are sent along.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    pub headers: BTreeMap<String, String>,
    /// Which signatures are sent; `v1` always is.
    pub signature: Scheme,
    /// Deliveries a second, at most; no limit if not given.
    #[schema(minimum = 1, maximum = 10_000)]
    pub rate_per_s: Option<u32>,
    /// Seconds between one try and the next, one for each further try.
    #[schema(max_items = 20)]
    pub retry_schedule_s: Vec<u32>,
    /// The form of what is sent.
    pub format: Format,
    /// What is sent instead: JSON in which a text like `{{/data/message_id}}` is replaced by what
    /// that JSON pointer (RFC 6901) finds in the event.
    #[schema(value_type = Option<Object>)]
    pub template: Option<Value>,
    /// The only networks that are connected to, like `192.0.2.0/24`; all if empty.
    #[schema(max_items = 50)]
    pub allowed_networks: Vec<String>,
    /// The token that is sent along as `authorization: Bearer`; its secret is
    /// `oauth_client_secret`.
    pub oauth: Option<OAuth>,
    /// Whether the tenant's owners and administrators get a mail when it is switched off because it
    /// is gone or does nothing but fail.
    pub mail_when_disabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            headers: BTreeMap::new(),
            signature: Scheme::V1,
            rate_per_s: None,
            retry_schedule_s: SCHEDULE_S.to_vec(),
            format: Format::Standard,
            template: None,
            allowed_networks: Vec::new(),
            oauth: None,
            mail_when_disabled: true,
        }
    }
}

/// A secret that deliveries are signed with, for as long as it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveKey {
    /// The secret.
    pub key: SigningKey,
    /// Until when it signs; for ever if it was not replaced.
    pub until: Option<Timestamp>,
}

/// Who we are to a receiver that asks for a certificate (mutual TLS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificates, as PEM.
    pub certificates: String,
    /// Their key, as PEM.
    pub key: Secret,
}

/// Everything of an endpoint that is secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Newest first.
    pub keys: Vec<LiveKey>,
    /// Headers whose values are never shown.
    pub headers: BTreeMap<String, Secret>,
    /// For mutual TLS.
    pub certificate: Option<ClientCertificate>,
    /// By which tokens are got.
    pub oauth: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    keys: Vec<(String, Option<Timestamp>)>,
    headers: BTreeMap<String, String>,
    certificate: Option<(String, String)>,
    #[serde(default)]
    oauth: Option<String>,
}

impl Secrets {
    /// As bytes to be sealed.
    pub(crate) fn write(&self) -> Vec<u8> {
        let certificate = self.certificate.as_ref();
        let sealed = Sealed {
            keys: self.keys.iter().map(|it| (it.key.expose().to_owned(), it.until)).collect(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            certificate: certificate
                .map(|it| (it.certificates.clone(), it.key.expose().to_owned())),
            oauth: self.oauth.as_ref().map(|secret| secret.expose().to_owned()),
        };
        serde_json::to_vec(&sealed).expect("texts and times serialise")
    }

    /// Reads [`Secrets::write`].
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let sealed: Sealed = serde_json::from_slice(bytes).ok()?;
        let keys = sealed
            .keys
            .into_iter()
            .map(|(text, until)| SigningKey::parse(&text).map(|key| LiveKey { key, until }));
        let headers = sealed.headers.into_iter();
        Some(Self {
            keys: keys.collect::<Result<_, _>>().ok()?,
            headers: headers.map(|(name, value)| (name, Secret::new(value))).collect(),
            certificate: sealed.certificate.map(|(certificates, key)| ClientCertificate {
                certificates,
                key: Secret::new(key),
            }),
            oauth: sealed.oauth.map(Secret::new),
        })
    }

    /// Puts a new key before the others, which stay good until then; of too many, and of those that
    /// are over, the oldest go.
    pub(crate) fn rotate(&mut self, key: SigningKey, now: Timestamp, until: Timestamp) {
        let same = |old: &LiveKey| {
            matches!(old.key, SigningKey::Symmetric(_)) == matches!(key, SigningKey::Symmetric(_))
        };
        self.keys.retain(|old| old.until.is_none_or(|end| end > now));
        for old in self.keys.iter_mut().filter(|old| same(old)) {
            old.until = Some(old.until.map_or(until, |end| end.min(until)));
        }
        self.keys.insert(0, LiveKey { key, until: None });
        self.keys.truncate(SECRETS_MAX);
    }
}

/// Where a tenant wants to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Where; may hold a secret in its query, so only its owner's people see it.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Where it stands.
    pub status: Status,
    /// Why it is off.
    pub disabled_reason: Option<DisabledReason>,
    /// Which events; all if `None`.
    pub event_types: Option<Vec<String>>,
    /// Over which channel accounts; all, and those of none, if `None`.
    pub channels: Option<Vec<ChannelId>>,
    /// What must hold of an event's payload, all of it.
    pub conditions: Vec<Condition>,
    /// Deliveries under way at once.
    pub in_flight: i16,
    /// Whether an event is sent only when the one before it has arrived.
    pub fifo: bool,
    /// How it is delivered to.
    pub settings: Settings,
    /// Since when it does nothing but fail.
    pub failing_since: Option<Timestamp>,
    /// Goes up with every change by its owner.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What may be set.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Where.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// On or off.
    pub enabled: Option<bool>,
    /// Which events.
    pub event_types: Option<Option<Vec<String>>>,
    /// Over which channel accounts.
    pub channels: Option<Option<Vec<ChannelId>>>,
    /// What must hold.
    pub conditions: Option<Vec<Condition>>,
    /// Deliveries under way at once.
    pub in_flight: Option<i16>,
    /// In order.
    pub fifo: Option<bool>,
    /// How; replaces all settings.
    pub settings: Option<Settings>,
    /// Secret headers; replaces all.
    pub secret_headers: Option<BTreeMap<String, Secret>>,
    /// For mutual TLS.
    pub certificate: Option<Option<ClientCertificate>>,
    /// By which tokens are got.
    pub oauth: Option<Option<Secret>>,
}

impl Change {
    /// The endpoint with the change in it. Switched on again, it begins with a clean record.
    #[must_use]
    pub fn apply(&self, mut endpoint: Endpoint) -> Endpoint {
        let Self { url, description, event_types, channels, conditions, settings, .. } =
            self.clone();
        endpoint.url = url.unwrap_or(endpoint.url);
        endpoint.description = description.unwrap_or(endpoint.description);
        endpoint.event_types = event_types.unwrap_or(endpoint.event_types);
        endpoint.channels = channels.unwrap_or(endpoint.channels);
        endpoint.conditions = conditions.unwrap_or(endpoint.conditions);
        endpoint.in_flight = self.in_flight.unwrap_or(endpoint.in_flight);
        endpoint.fifo = self.fifo.unwrap_or(endpoint.fifo);
        endpoint.settings = settings.unwrap_or(endpoint.settings);
        match self.enabled {
            Some(true) if endpoint.status == Status::Disabled => {
                endpoint.status = Status::Enabled;
                (endpoint.disabled_reason, endpoint.failing_since) = (None, None);
            }
            Some(false) => {
                endpoint.status = Status::Disabled;
                endpoint.disabled_reason = endpoint.disabled_reason.or(Some(DisabledReason::Owner));
            }
            _ => {}
        }
        endpoint
    }
}

/// Why something about an endpoint cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such endpoint.
    #[error("no such endpoint")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the endpoint was changed meanwhile")]
    Stale,
    /// The tenant has as many as it may.
    #[error("the tenant has {0} endpoints")]
    TooMany(u16),
    /// What was given is wrong.
    #[error("the endpoint is not valid")]
    Invalid(Vec<Fault>),
    /// It did not answer the challenge.
    #[error("the endpoint did not answer the challenge")]
    Unanswered(&'static str),
    /// The secrets do not open.
    #[error("the endpoint's secrets do not open")]
    Sealed,
    /// A lower room.
    #[error(transparent)]
    Below(#[from] Below),
}

impl From<misy_store::Error> for Error {
    fn from(error: misy_store::Error) -> Self {
        Self::Below(error.into())
    }
}

impl From<misy_store::QuotaError> for Error {
    fn from(error: misy_store::QuotaError) -> Self {
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
            Self::TooMany(_) | Self::Unanswered(_) => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
            Self::Sealed => Code::Internal,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::TooMany(most) => Some(format!("There may be {most} endpoints; remove one.")),
            Self::Unanswered(why) => Some(format!("The challenge was not answered: {why}.")),
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
            Self::Below(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
