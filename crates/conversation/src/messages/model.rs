//! Room `conversation`: what a message is, what may be sent now, and how far a message has come.

mod delivery;
mod error;
mod progress;

use std::collections::BTreeMap;

use misy_channel::event::{EchoMessage, Status};
use misy_channel::{Capability, Content, Failure, InboundMessage, transcode};
use misy_core::error::Fault;
use misy_core::{
    Actor, ChannelId, ContactId, ConversationId, KnowledgeDocumentId, KnowledgeEntryId, MessageId,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use delivery::{Attempt, AttemptState};
pub(crate) use delivery::{Ending, Next, after_failure, later, next};
pub use error::Error;
pub(crate) use progress::{Progress, Report, hear};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the customer.
    Inbound,
    /// To the customer.
    Outbound,
}

impl Direction {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// Reads [`Direction::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound].into_iter().find(|one| one.slug() == text)
    }
}

/// What kind of author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthorKind {
    /// The customer.
    Contact,
    /// A person of the business.
    User,
    /// A responder.
    Agent,
    /// A program of the business.
    System,
}

impl AuthorKind {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::User => "user",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }

    /// Reads [`AuthorKind::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Contact, Self::User, Self::Agent, Self::System];
        all.into_iter().find(|one| one.slug() == text)
    }
}

/// Who wrote a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// What kind of author.
    pub kind: AuthorKind,
    /// Which one; `None` if it wrote with a tool that does not tell.
    pub id: Option<String>,
}

impl Author {
    /// Whoever acts, as the author of a message that goes out.
    pub fn of(actor: Actor) -> Self {
        let kind = match actor {
            Actor::User(_) | Actor::Operator(_) | Actor::Impersonator { .. } => AuthorKind::User,
            Actor::ApiKey(_) | Actor::Channel | Actor::System => AuthorKind::System,
        };
        Self { kind, id: Some(actor.to_string()) }
    }

    /// A responder.
    pub fn agent(name: &str) -> Self {
        Self { kind: AuthorKind::Agent, id: Some(name.to_owned()) }
    }
}

/// What an answer was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Citation {
    /// The knowledge entry, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge_entry_id: Option<KnowledgeEntryId>,
    /// The knowledge document, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knowledge_document_id: Option<KnowledgeDocumentId>,
    /// Which passage of the document, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage: Option<u32>,
    /// How well it fits, from 0 to 1.
    pub score: f64,
}

impl Citation {
    /// A knowledge entry.
    pub fn entry(id: KnowledgeEntryId, score: f64) -> Self {
        let (knowledge_document_id, passage) = (None, None);
        Self { knowledge_entry_id: Some(id), knowledge_document_id, passage, score }
    }

    /// A passage of a knowledge document.
    pub fn passage(document: KnowledgeDocumentId, position: u32, score: f64) -> Self {
        let (knowledge_document_id, passage) = (Some(document), Some(position));
        Self { knowledge_entry_id: None, knowledge_document_id, passage, score }
    }
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it belongs.
    pub conversation: ConversationId,
    /// Over which channel account it goes.
    pub channel: ChannelId,
    /// Which way.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// What it says.
    pub content: Content,
    /// Everything else that is known of it.
    pub extra: Map<String, Value>,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// How far it has come.
    pub status: Status,
    /// When it came how far.
    pub status_at: BTreeMap<String, Timestamp>,
    /// The provider's id of it.
    pub external_id: Option<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// Under which name `extra` holds what an answer was taken from.
pub(crate) const CITATIONS: &str = "citations";

impl Message {
    /// What the answer was taken from.
    pub fn citations(&self) -> Vec<Citation> {
        let citations = self.extra.get(CITATIONS).cloned();
        citations.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    }
}

/// In which order messages are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// A customer's message that found its conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInbound {
    /// Where it belongs.
    pub conversation: ConversationId,
    /// Who wrote it.
    pub contact: ContactId,
    /// What came.
    pub message: InboundMessage,
    /// When it was written, by the provider's clock if that says so.
    pub at: Timestamp,
}

/// A message that the business sent with another tool, in its conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEcho {
    /// Where it belongs.
    pub conversation: ConversationId,
    /// What was sent.
    pub message: EchoMessage,
    /// When it was sent, by the provider's clock if that says so.
    pub at: Timestamp,
}

/// What became of a customer's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its id; of a duplicate, the first one's where that can be seen already.
    pub id: MessageId,
    /// Where it belongs.
    pub conversation: ConversationId,
    /// Whether it came for the first time.
    pub fresh: bool,
}

/// A message to write, before it is known in which parts it goes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it says.
    pub content: Content,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
}

/// The way a message to a conversation would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) conversation: ConversationId,
    pub(crate) channel: ChannelId,
    /// The kind of channel; finds its capability.
    pub(crate) kind: String,
    /// Whether the account may be used.
    pub(crate) active: bool,
    /// Whether the conversation is over.
    pub(crate) closed: bool,
    /// When the customer wrote last over this channel.
    pub(crate) last_inbound_at: Option<Timestamp>,
    /// Whether the message that is to be answered is one of this conversation.
    pub(crate) reply_found: bool,
}

/// More parts than this are a book, not a message.
pub(crate) const PARTS_MAX: usize = 20;

/// The messages that go out for a draft, in their order: what the policy says and the channel can
/// carry. Policy: an open conversation over an active account, and, where the channel has a window,
/// nothing but templates after it has closed.
pub(crate) fn parts(
    draft: &Draft,
    route: &Route,
    capability: &Capability,
    now: Timestamp,
) -> Result<Vec<Content>, Error> {
    let faults = faults(draft, route);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    if route.closed {
        return Err(Error::ConversationClosed);
    }
    if !route.active {
        return Err(Error::ChannelInactive);
    }
    if !is_window_open(&draft.content, capability, route.last_inbound_at, now) {
        return Err(Error::WindowClosed { templates: capability.template });
    }
    let parts = transcode(&draft.content, capability);
    match parts.len() {
        0 => Err(Error::NoForm),
        1..=PARTS_MAX => Ok(parts),
        _ => Err(Error::invalid("/content/text", format!("expected at most {PARTS_MAX} parts"))),
    }
}

fn faults(draft: &Draft, route: &Route) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |pointer: &str, detail: &str| {
        faults.push(Fault { pointer: pointer.to_owned(), detail: detail.to_owned() });
    };
    match &draft.content {
        Content::Text(text) if text.text.trim().is_empty() => {
            fault("/content/text", "expected a text that is not empty");
        }
        Content::Event(_) => fault("/content/type", "an event cannot be sent"),
        _ => {}
    }
    if draft.reply_to.is_some() && !route.reply_found {
        fault("/reply_to", "no such message in this conversation");
    }
    faults
}

/// Whether the content may be sent at this moment; a customer who never wrote over the channel has
/// opened no window.
pub(crate) fn is_window_open(
    content: &Content,
    capability: &Capability,
    last_inbound_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let Some(hours) = capability.window_hours else { return true };
    if matches!(content, Content::Template(_)) {
        return true;
    }
    let open = jiff::SignedDuration::from_hours(hours.into());
    last_inbound_at.is_some_and(|at| now.duration_since(at) < open)
}

#[cfg(test)]
mod tests;
