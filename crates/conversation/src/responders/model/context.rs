//! Room `conversation`: what a responder remembers of a conversation from one message to the next.

use misy_core::{KnowledgeEntryId, MessageId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{HandOverReason, Reply, Turn};

/// What is remembered of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The language of the customer's last message whose language could be told.
    pub language: Option<String>,
    /// The last answer.
    pub answered: Option<Answered>,
    /// The last time that people were called.
    pub handed_over: Option<HandedOver>,
    /// Messages that the responder has decided on.
    pub turns: u32,
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// To which message.
    pub message: MessageId,
    /// From which entry, if from one.
    pub entry: Option<KnowledgeEntryId>,
    /// When.
    pub at: Timestamp,
}

/// People were called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// Because of which message.
    pub message: MessageId,
    /// Why.
    pub reason: HandOverReason,
    /// When.
    pub at: Timestamp,
}

impl Context {
    /// Remembers what was decided of a message. A message that was remembered already, because the
    /// job ran twice, counts once.
    pub(crate) fn remember(&mut self, turn: &Turn, reply: &Reply, now: Timestamp) {
        let known = |message: Option<MessageId>| message == Some(turn.message);
        let again = known(self.answered.as_ref().map(|it| it.message))
            || known(self.handed_over.as_ref().map(|it| it.message));
        if again {
            return;
        }
        if let Some(language) = &turn.detected_language {
            self.language = Some(language.clone());
        }
        self.turns = self.turns.saturating_add(1);
        let message = turn.message;
        match reply {
            Reply::Silent => {}
            Reply::Answer { citations, .. } => {
                let entry = citations.first().map(|citation| citation.knowledge_entry_id);
                self.answered = Some(Answered { message, entry, at: now });
            }
            Reply::HandOver { reason, .. } => {
                self.handed_over = Some(HandedOver { message, reason: *reason, at: now });
            }
        }
    }
}
