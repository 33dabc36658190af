//! Room `conversation`: why something about a message cannot be done.

use misy_core::error::Fault;
use misy_core::{Code, Public};

use crate::{Below, channels, contacts, conversations};

/// Why something about a message cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such message, conversation or contact.
    #[error("no such message, conversation or contact")]
    NotFound,
    /// Fields are wrong.
    #[error("the message is not valid")]
    Invalid(Vec<Fault>),
    /// The conversation is over.
    #[error("the conversation is closed")]
    ConversationClosed,
    /// The account is switched off or gone.
    #[error("the channel account is not active")]
    ChannelInactive,
    /// The customer's last message is too old for free text.
    #[error("the customer's window is closed")]
    WindowClosed {
        /// Whether the channel has templates, which may be sent instead.
        templates: bool,
    },
    /// The contact never wrote, so no channel is known over which it could be reached.
    #[error("no channel to the contact is known")]
    NoChannel,
    /// The channel has no form for it.
    #[error("the channel cannot carry the message")]
    NoForm,
    /// The channel account.
    #[error(transparent)]
    Channel(#[from] channels::Error),
    /// The contact.
    #[error(transparent)]
    Contact(#[from] contacts::Error),
    /// The conversation.
    #[error(transparent)]
    Conversation(#[from] conversations::Error),
    /// The right or the database.
    #[error(transparent)]
    Below(Below),
}

impl Error {
    /// One wrong field.
    pub(crate) fn invalid(pointer: &str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    /// Whether policy or channel do not allow the message, now or at all.
    pub(crate) fn is_refusal(&self) -> bool {
        use Error::{ChannelInactive, ConversationClosed, Invalid, NoForm, WindowClosed};
        matches!(
            self,
            Invalid(_) | ConversationClosed | ChannelInactive | WindowClosed { .. } | NoForm
        )
    }

    /// Whether the message that it was to answer has been answered meanwhile.
    pub(crate) fn is_answered(&self) -> bool {
        let Self::Below(Below::Store(error)) = self else { return false };
        error.unique_violation() == Some("messages_answers_idx")
    }

    fn beneath(&self) -> Option<&dyn Public> {
        match self {
            Self::Channel(error) => Some(error),
            Self::Contact(error) => Some(error),
            Self::Conversation(error) => Some(error),
            Self::Below(error) => Some(error),
            _ => None,
        }
    }
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
            Self::Invalid(_) => Code::Invalid,
            Self::ConversationClosed | Self::ChannelInactive | Self::NoChannel => Code::Conflict,
            Self::WindowClosed { .. } => Code::WindowClosed,
            Self::NoForm => Code::ChannelUnsupported,
            _ => self.beneath().map_or(Code::Internal, Public::code),
        }
    }

    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::ConversationClosed => {
                "The conversation is closed; open it again or write to the contact."
            }
            Self::ChannelInactive => "The channel account is switched off; activate it first.",
            Self::WindowClosed { templates: true } => {
                "The customer's last message is too old for free text. Next allowed: an approved \
                 template now, or any message once the customer has written again."
            }
            Self::WindowClosed { templates: false } => {
                "The customer's last message is too old. Next allowed: any message once the \
                 customer has written again."
            }
            Self::NoChannel => "The contact has not written over any channel yet.",
            Self::NoForm => "The channel has no form for this content, not even as text.",
            _ => return self.beneath().and_then(Public::detail),
        };
        Some(text.to_owned())
    }

    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => self.beneath().map_or_else(Vec::new, Public::faults),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        self.beneath().and_then(Public::retry_after_s)
    }
}
