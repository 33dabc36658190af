//! Room `sandbox`: what there is in the emulated world.

use std::collections::BTreeMap;

use misy_core::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use crate::names::Direction;

/// A business phone number with everything that Meta's dashboard would know about it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    /// What Meta calls the number; the account's name everywhere.
    pub phone_number_id: String,
    /// The `WhatsApp` business account; several numbers may share one.
    pub waba_id: String,
    /// The Meta app whose secret signs.
    pub app_id: String,
    /// The number as people write it.
    pub display_phone_number: String,
    /// The name that customers see.
    pub verified_name: String,
    /// What the Graph side asks for.
    pub access_token: String,
    /// What webhooks are signed with.
    pub app_secret: String,
    /// What the receiver must know in the handshake.
    pub verify_token: String,
    /// Where webhooks go; set only after a handshake.
    pub webhook_url: Option<String>,
    /// Whether the app is subscribed to the WABA; without it nothing is delivered.
    pub subscribed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// How Meta treats it.
    #[serde(default)]
    pub behaviour: Behaviour,
}

/// How the emulated Meta treats one account. All of it may be changed while it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// How many times each webhook is delivered.
    pub duplicates: u32,
    /// Webhooks are gathered in groups of this many and each group goes out backwards; 1 is off.
    pub reorder: u32,
    /// Up to this many webhooks travel in one POST, as several messages, changes and entries.
    pub batch: u32,
    /// Webhooks in flight at once. With 1 the order of the account is kept, else that of each chat.
    pub connections: u32,
    /// Deliver the `sent` status before the answer to the send.
    pub status_before_response: bool,
    /// Accept the next so many messages and drop the connection instead of answering.
    pub lose_response: u32,
    /// Let the next messages fail.
    pub fail_next: Option<FailNext>,
    /// Wait before every answer of the Graph side, milliseconds.
    pub latency_ms: u64,
    /// Phones that are switched off: what is sent to them stays at `sent`.
    pub offline: Vec<String>,
    /// Messages a second that the number may send; 0 is without limit.
    pub mps: u32,
    /// Messages that one recipient may get in a burst; one comes back every 6 seconds. 0 is without
    /// limit.
    pub pair_burst: u32,
    /// Calls an hour that do not send; 0 is without limit.
    pub management_per_hour: u32,
    /// From then on the access token is refused.
    pub token_expires_at: Option<Timestamp>,
    /// From `sent` to `delivered`, milliseconds.
    pub deliver_delay_ms: u64,
    /// From `delivered` to `read`, milliseconds.
    pub read_delay_ms: u64,
    /// Whether customers read what they get (and tell).
    pub read: bool,
    /// Sign webhooks with a wrong secret, to see them refused.
    pub bad_signature: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            duplicates: 1,
            reorder: 1,
            batch: 1,
            connections: 1,
            status_before_response: false,
            lose_response: 0,
            fail_next: None,
            latency_ms: 0,
            offline: Vec::new(),
            mps: 80,
            pair_burst: 45,
            management_per_hour: 5_000,
            token_expires_at: None,
            deliver_delay_ms: 10,
            read_delay_ms: 10,
            read: true,
            bad_signature: false,
        }
    }
}

/// An order to let messages fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// Meta's error code.
    pub code: u32,
    /// How many messages fail.
    #[serde(default = "once")]
    pub times: u32,
    /// Accept the message and report the failure as a status, instead of refusing it.
    #[serde(default)]
    pub asynchronous: bool,
}

/// Failing once is what is usually meant.
fn once() -> u32 {
    1
}

/// A customer's phone as this account knows it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Phone {
    /// Digits of the number, or the user id of somebody whose number is hidden.
    pub chat: String,
    /// The profile name.
    pub name: String,
    /// The business-scoped user id.
    pub user_id: String,
    /// The number is hidden: webhooks carry only the user id.
    pub bsuid_only: bool,
    /// Whether there is WhatsApp on it.
    pub on_whatsapp: bool,
    /// The service window is closed by order, whatever the clock says.
    pub window_closed: bool,
    /// From here the service window counts.
    pub last_wrote_at: Option<Timestamp>,
    /// Until when the business is shown as typing.
    pub typing_until: Option<Timestamp>,
}

impl Phone {
    /// Whether the customer service window is open: 24 hours from the customer's last message.
    pub(crate) fn is_window_open(&self, now: Timestamp) -> bool {
        const WINDOW_S: i64 = 24 * 3_600;
        let is_recent = |at: Timestamp| now.duration_since(at).as_secs() < WINDOW_S;
        !self.window_closed && self.last_wrote_at.is_some_and(is_recent)
    }
}

/// How far a message of the business has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Accepted,
    Sent,
    Delivered,
    Read,
    Failed,
}

impl Status {
    /// As Meta writes it in a webhook.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// A message of a chat, either way.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Unique, `wamid.` and more.
    pub id: String,
    /// The customer it is from or to.
    pub chat: String,
    /// Which way it goes.
    pub direction: Direction,
    /// When it was accepted.
    pub at: Timestamp,
    /// Meta's word for its type.
    pub kind: String,
    /// Inbound: the message object of the webhook. Outbound: the request as it came.
    pub payload: Box<RawValue>,
    /// Outbound: each status reached, with its time.
    #[serde(default)]
    pub statuses: BTreeMap<Status, Timestamp>,
    /// Outbound: it will fail with this code instead of being sent.
    #[serde(default)]
    pub fate: Option<u32>,
    /// Outbound: `biz_opaque_callback_data`, echoed in every status.
    #[serde(default)]
    pub opaque: Option<String>,
    /// Outbound: what is billed.
    #[serde(default)]
    pub category: String,
    /// Inbound: the business marked it read.
    #[serde(default)]
    pub read: bool,
}

impl Message {
    /// How far it has come; `Accepted` for one that has no status yet.
    pub(crate) fn status(&self) -> Status {
        self.statuses.keys().next_back().copied().unwrap_or(Status::Accepted)
    }
}

/// A change waiting to be delivered to the receiver.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Hook {
    /// Its place among all webhooks of the account.
    pub serial: u64,
    /// The chat it belongs to, whose order is kept.
    pub chat: String,
    /// `{"value": ..., "field": ...}`
    pub change: Box<RawValue>,
}

/// An uploaded or received file.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Media {
    pub id: String,
    pub mime_type: String,
    pub sha256: String,
    pub file_size: u64,
    pub created_at: Timestamp,
    /// Received with a message, which shortens its life.
    pub inbound: bool,
}

/// An approved message template.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Template {
    pub id: String,
    pub name: String,
    pub language: String,
    pub category: String,
    /// `POSITIONAL` (`{{1}}`) or `NAMED` (`{{name}}`).
    #[serde(default)]
    pub parameter_format: String,
    /// The components as the Graph API writes them.
    pub components: Vec<Value>,
}

/// What was counted since the first start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    /// Messages of customers.
    pub inbound: u64,
    /// Messages of the business that were accepted.
    pub outbound: u64,
    /// Messages of the business that were not.
    pub refused: u64,
    /// Acknowledged with 200, each counted once.
    pub webhooks_delivered: u64,
    /// Given up because there was no receiver any more.
    pub webhooks_dropped: u64,
    /// POSTs, duplicates and repetitions included.
    pub webhook_attempts: u64,
    /// POSTs that were not answered with 200.
    pub webhook_failures: u64,
}
