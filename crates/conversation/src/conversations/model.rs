//! Room `conversation`: where a conversation stands and who leads it.

use misy_core::error::Fault;
use misy_core::{ChannelId, Code, ContactId, ConversationId, Public, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::Below;

/// Where a conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConversationStatus)]
pub enum Status {
    /// It goes on, the responder answers.
    Open,
    /// The customer waits for a person.
    Waiting,
    /// It is over; the customer's next message begins another.
    Closed,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Waiting, Self::Closed].into_iter().find(|one| one.slug() == text)
    }
}

/// A conversation with a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// With whom.
    pub contact: ContactId,
    /// Over which channel account the customer wrote last; answers go there.
    pub channel: ChannelId,
    /// Where it stands.
    pub status: Status,
    /// Who looks after it.
    pub assignee: Option<UserId>,
    /// Since when the customer waits for a person.
    pub handed_over_at: Option<Timestamp>,
    /// Since when a person leads it; the responder is silent from then on.
    pub taken_over_at: Option<Timestamp>,
    /// When the customer wrote last.
    pub last_inbound_at: Option<Timestamp>,
    /// When anybody wrote last.
    pub last_message_at: Timestamp,
    /// Goes up with every change of status or assignment.
    pub version: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// What may be changed; `None` leaves it, `Some(None)` takes it away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub status: Option<Status>,
    /// Who looks after it.
    pub assignee: Option<Option<UserId>>,
}

impl Change {
    /// The conversation with the change in it. Assigning takes it from the responder; setting it to
    /// `open` without an assignee gives it back.
    #[must_use]
    pub fn apply(self, mut conversation: Conversation, now: Timestamp) -> Conversation {
        conversation.assignee = self.assignee.unwrap_or(conversation.assignee);
        if conversation.assignee.is_some() {
            conversation.taken_over_at = conversation.taken_over_at.or(Some(now));
        }
        let Some(status) = self.status else { return conversation };
        conversation.status = status;
        match status {
            Status::Open => {
                conversation.handed_over_at = None;
                conversation.taken_over_at =
                    conversation.taken_over_at.filter(|_| conversation.assignee.is_some());
            }
            Status::Waiting => {
                conversation.handed_over_at = conversation.handed_over_at.or(Some(now));
            }
            Status::Closed => {}
        }
        conversation
    }
}

/// The open conversation of a contact, as a message found or made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Its id.
    pub id: ConversationId,
    /// With whom.
    pub contact: ContactId,
    /// Where it stands.
    pub status: Status,
    /// Whether the message made it.
    pub new: bool,
}

/// By which properties conversations are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those that stand here.
    pub status: Option<Status>,
    /// Only those with this contact.
    pub contact: Option<ContactId>,
    /// Only those over this channel account.
    pub channel: Option<ChannelId>,
    /// Only those that this person looks after.
    pub assignee: Option<UserId>,
}

/// Why something about a conversation cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such conversation.
    #[error("no such conversation")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the conversation was changed meanwhile")]
    Stale,
    /// The assignee is nobody of this tenant.
    #[error("no such user")]
    NoSuchAssignee,
    /// The contact has another one that is not closed.
    #[error("the contact has another open conversation")]
    AnotherIsOpen,
    /// The right or the database.
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
            Self::Stale => Code::Stale,
            Self::NoSuchAssignee => Code::Invalid,
            Self::AnotherIsOpen => Code::Conflict,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::AnotherIsOpen => {
                Some("The contact has another conversation that is not closed.".to_owned())
            }
            Self::Below(error) => error.detail(),
            Self::NotFound | Self::Stale | Self::NoSuchAssignee => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        let Self::NoSuchAssignee = self else { return Vec::new() };
        vec![Fault { pointer: "/assignee_id".to_owned(), detail: "no such user".to_owned() }]
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Below(error) = self { error.retry_after_s() } else { None }
    }
}

#[cfg(test)]
mod tests;
