//! Room `channel`: what a provider tells us, one event at a time.

use misy_core::{Personal, Timestamp};
use serde_json::Value;

use crate::content::Content;

/// One event of a payload. Each is handled on its own: one that fails never holds up the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened by the provider's clock; `None` where the provider does not say.
    pub at: Option<Timestamp>,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A customer wrote.
    Message(InboundMessage),
    /// The business wrote with another tool; shown in the conversation as sent.
    Echo(EchoMessage),
    /// A message of ours moved forward.
    Status(StatusUpdate),
    /// A customer changed a message.
    Edit {
        /// The sender.
        from: Sender,
        /// The provider's id of the message that was changed.
        external_message_id: String,
        /// What it says now.
        content: Content,
    },
    /// A customer took a message back: its content must go.
    Revoke {
        /// The sender.
        from: Sender,
        /// The provider's id of the message that was taken back.
        external_message_id: String,
    },
    /// A customer's address or id changed.
    IdentityChanged {
        /// Any identity known before.
        old: IdentityClaim,
        /// The identities that hold from now on.
        new: Vec<IdentityClaim>,
    },
    /// Anything else, whole: account notices, kinds the provider invents tomorrow.
    Unknown {
        /// A name to count it by: the provider's field and type, cut to what is safe as a label.
        name: String,
        /// The part of the payload.
        raw: Value,
    },
}

/// The namespace of phone numbers, shared by all channels that know them.
pub const PHONE: &str = "phone";

/// One way to recognise a person. The same value in another namespace is another identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityClaim {
    /// `phone`, `email`, `visitor`, or a provider's own user id as named by its adapter.
    pub namespace: &'static str,
    /// The value in normal form: a phone number in E.164 with its plus sign, an address in lower
    /// case.
    pub value: Personal<String>,
}

/// The person a message comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Everything the provider says about who it is, strongest first; never empty.
    pub identities: Vec<IdentityClaim>,
    /// The name the person shows.
    pub display_name: Option<Personal<String>>,
}

/// A message of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct InboundMessage {
    /// The provider's id of it; the account and this id make it unique.
    pub external_id: String,
    /// Who wrote.
    pub from: Sender,
    /// What it says.
    pub content: Content,
    /// The provider's id of the message it answers.
    pub reply_to: Option<String>,
    /// Everything else the provider says of it (forwarded, referral, group), for agents to see.
    pub extra: serde_json::Map<String, Value>,
}

impl InboundMessage {
    /// Whether it was written before the account was connected and comes with its history: it is
    /// stored where it belongs, and neither answered nor taken as a sign of life.
    pub fn is_history(&self) -> bool {
        self.extra.contains_key("history")
    }
}

/// A message that the business sent with another tool.
#[derive(Debug, Clone, PartialEq)]
pub struct EchoMessage {
    /// The provider's id of it.
    pub external_id: String,
    /// Who received it.
    pub to: Sender,
    /// What it says.
    pub content: Content,
}

/// How far a message of ours has come. The order of the variants is the order in which a message
/// moves; it never moves back.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageStatus)]
pub enum Status {
    /// Stored here, not yet with the provider.
    Queued,
    /// The provider has it.
    Sent,
    /// The customer's device has it.
    Delivered,
    /// The customer saw it.
    Read,
    /// It will not arrive.
    Failed,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Sent, Self::Delivered, Self::Read, Self::Failed]
            .into_iter()
            .find(|one| one.slug() == text)
    }

    /// The status after hearing `next`: forward only. A failure after the device had the message is
    /// a contradiction, and the arrival wins; an arrival after a failure wins as well.
    #[must_use]
    pub fn advance(self, next: Self) -> Self {
        match (self, next) {
            (Self::Delivered | Self::Read, Self::Failed) => self,
            (Self::Failed, Self::Delivered | Self::Read) => next,
            _ => self.max(next),
        }
    }
}

/// The provider reports on a message of ours. It may come before our own send has returned.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusUpdate {
    /// The provider's id of the message.
    pub external_id: String,
    /// What we gave it to carry along: our own message id, if the provider returns it.
    pub correlation: Option<String>,
    /// The new status.
    pub status: Status,
    /// Who received it.
    pub recipient: Vec<IdentityClaim>,
    /// Why it failed.
    pub failure: Option<crate::outbound::Failure>,
    /// What the provider says of price and conversation.
    pub extra: serde_json::Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_status() -> impl Strategy<Value = Status> {
        prop::sample::select(vec![
            Status::Queued,
            Status::Sent,
            Status::Delivered,
            Status::Read,
            Status::Failed,
        ])
    }

    #[test]
    fn a_late_sent_does_not_take_read_back() {
        assert_eq!(Status::Read.advance(Status::Sent), Status::Read);
        assert_eq!(Status::Read.advance(Status::Failed), Status::Read);
        assert_eq!(Status::Failed.advance(Status::Sent), Status::Failed);
        assert_eq!(Status::Failed.advance(Status::Delivered), Status::Delivered);
    }

    proptest! {
        #[test]
        fn hearing_a_status_twice_changes_nothing(now in any_status(), next in any_status()) {
            let once = now.advance(next);
            prop_assert_eq!(once.advance(next), once);
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(
            mut heard in prop::collection::vec(any_status(), 1..6),
        ) {
            let forward = heard.iter().fold(Status::Queued, |now, next| now.advance(*next));
            heard.reverse();
            let backward = heard.iter().fold(Status::Queued, |now, next| now.advance(*next));
            prop_assert_eq!(forward, backward);
        }
    }
}
