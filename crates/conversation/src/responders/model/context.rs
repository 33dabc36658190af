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
                let entry = citations.first().and_then(|citation| citation.knowledge_entry_id);
                self.answered = Some(Answered { message, entry, at: now });
            }
            Reply::HandOver { reason, .. } => {
                self.handed_over = Some(HandedOver { message, reason: *reason, at: now });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use misy_channel::Content;
    use misy_core::id::TypedId;
    use misy_core::{ContactId, ConversationId};
    use uuid::Uuid;

    use super::*;
    use crate::messages::Citation;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn turn(number: u128, language: Option<&str>) -> Turn {
        Turn {
            message: MessageId::from_uuid(Uuid::from_u128(number)),
            conversation: ConversationId::from_uuid(Uuid::from_u128(1)),
            contact: ContactId::from_uuid(Uuid::from_u128(2)),
            content: Content::text("?"),
            at: NOW,
            detected_language: language.map(str::to_owned),
            contact_language: None,
            tenant_locale: None,
            waiting: false,
        }
    }

    fn answer(entry: u128) -> Reply {
        let entry = KnowledgeEntryId::from_uuid(Uuid::from_u128(entry));
        let citations = vec![Citation::entry(entry, 1.0)];
        Reply::Answer { content: Content::text("!"), citations }
    }

    #[test]
    fn a_message_that_is_decided_on_twice_counts_once() {
        let mut context = Context::default();
        context.remember(&turn(1, Some("de")), &answer(7), NOW);
        let once = context.clone();
        context.remember(&turn(1, Some("de")), &answer(8), NOW);
        assert_eq!(context, once);
        let called = Reply::HandOver { content: None, reason: HandOverReason::Asked };
        context.remember(&turn(2, None), &called, NOW);
        let twice = context.clone();
        context.remember(&turn(2, None), &called, NOW);
        assert_eq!((&context, context.turns), (&twice, 2));
    }

    #[test]
    fn what_cannot_be_told_now_is_remembered_from_before() {
        let mut context = Context::default();
        context.remember(&turn(1, Some("de")), &answer(7), NOW);
        context.remember(&turn(2, None), &Reply::Silent, NOW);
        assert_eq!(context.language.as_deref(), Some("de"));
        let entry = context.answered.and_then(|answered| answered.entry);
        assert_eq!(entry, Some(KnowledgeEntryId::from_uuid(Uuid::from_u128(7))));
        assert_eq!((context.turns, context.handed_over), (2, None));
    }

    #[test]
    fn a_context_that_an_older_program_wrote_is_read() {
        let old: Context = serde_json::from_str("{\"turns\": 3}").expect("JSON");
        assert_eq!(old, Context { turns: 3, ..Context::default() });
    }
}
