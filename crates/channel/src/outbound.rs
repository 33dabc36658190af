//! Room `channel`: sending one message, and what can come of it.

use misy_core::MessageId;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::event::IdentityClaim;

/// To whom a message goes: every identity of the contact on this channel, strongest first; the
/// adapter takes the one its provider prefers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(pub Vec<IdentityClaim>);

/// A message to send, already in a form the channel can carry.
#[derive(Debug, Clone, PartialEq)]
pub struct Outbound {
    /// Our id; it travels with the message where the provider allows it, so that statuses find home
    /// even if the provider's answer is lost.
    pub id: MessageId,
    /// To whom.
    pub to: Recipient,
    /// What it says.
    pub content: Content,
    /// The provider's id of the message it answers.
    pub reply_to: Option<String>,
}

/// The provider took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The provider's id of it.
    pub external_id: String,
}

/// What kind of failure it is; decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Too fast: again later, not counted as a failure.
    Throttled,
    /// A passing fault: again later, a few times.
    Transient,
    /// The time for free messages is over.
    WindowClosed,
    /// The customer cannot be reached here.
    Recipient,
    /// The customer does not want these messages.
    OptedOut,
    /// The template is wrong, paused or unknown.
    Template,
    /// We sent something the provider refuses: a bug of ours or unsupported content.
    Payload,
    /// The account is not usable: token, permission, payment, policy.
    Account,
    /// The provider may or may not have taken it.
    UnknownOutcome,
}

/// A failure as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// The provider's own number or word for it.
    pub code: String,
    /// What the provider says, cut to 500 characters; never contains the message or a credential.
    pub detail: String,
}

/// A send that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} ({}): {}", failure.kind, failure.code, failure.detail)]
pub struct SendError {
    /// Why.
    pub failure: Failure,
    /// How long to wait before the next try, if the provider says or its rules demand.
    pub retry_after_ms: Option<u64>,
}

impl SendError {
    /// A failure without advice on when to try again.
    pub fn new(kind: FailureKind, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail: String = detail.into().chars().take(500).collect();
        Self { failure: Failure { kind, code: code.into(), detail }, retry_after_ms: None }
    }

    /// The same failure with advice on when to try again.
    #[must_use]
    pub fn after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}
