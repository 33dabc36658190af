//! Room `conversation`: stored payloads, and their events sorted by what they need.

use misy_channel::event::{EchoMessage, Event, InboundMessage, Kind, Sender};
use misy_channel::{Content, IdentityClaim, StatusUpdate};
use misy_core::{InboxId, Timestamp};
use serde_json::Value;

/// A stored payload that waits to be ingested.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: InboxId,
    pub(crate) body: Vec<u8>,
    pub(crate) attempts: i16,
    pub(crate) received_at: Timestamp,
}

/// How often a payload is tried before it is set aside.
pub(crate) const ATTEMPTS_MAX: i16 = 5;

/// An event with the payload it came in.
pub(crate) struct Placed<T> {
    pub(crate) at: Timestamp,
    pub(crate) what: T,
}

/// The events of some payloads, sorted by what they need; each list in the order of arrival.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) messages: Vec<Placed<InboundMessage>>,
    /// Written before the account was connected: stored, never answered, no sign of life.
    pub(crate) history: Vec<Placed<InboundMessage>>,
    pub(crate) echoes: Vec<Placed<EchoMessage>>,
    pub(crate) statuses: Vec<(StatusUpdate, Timestamp)>,
    pub(crate) edits: Vec<(String, Content, Timestamp)>,
    pub(crate) revokes: Vec<(String, Timestamp)>,
    pub(crate) identities: Vec<(IdentityClaim, Vec<IdentityClaim>)>,
    pub(crate) unknown: Vec<(InboxId, String, Value)>,
}

impl Sorted {
    /// Adds the events of one payload. One without a time of its own happened when it arrived.
    pub(crate) fn add(&mut self, payload: InboxId, received_at: Timestamp, events: Vec<Event>) {
        for event in events {
            let at = event.at.unwrap_or(received_at);
            match event.kind {
                Kind::Message(what) if what.is_history() => self.history.push(Placed { at, what }),
                Kind::Message(what) => self.messages.push(Placed { at, what }),
                Kind::Echo(what) => self.echoes.push(Placed { at, what }),
                Kind::Status(what) => self.statuses.push((what, at)),
                Kind::Edit { external_message_id, content, .. } => {
                    self.edits.push((external_message_id, content, at));
                }
                Kind::Revoke { external_message_id, .. } => {
                    self.revokes.push((external_message_id, at));
                }
                Kind::IdentityChanged { old, new } => self.identities.push((old, new)),
                Kind::Unknown { name, raw } => self.unknown.push((payload, name, raw)),
            }
        }
    }
}

/// Who wrote the messages, in their order.
pub(crate) fn senders(messages: &[Placed<InboundMessage>]) -> Vec<Sender> {
    messages.iter().map(|message| message.what.from.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;
    use uuid::Uuid;

    #[test]
    fn an_event_without_a_time_happened_when_it_arrived() {
        let payload = InboxId::from_uuid(Uuid::from_u128(1));
        let arrived = Timestamp::from_second(1_700_000_000).expect("a valid time");
        let revoked = |at| Event {
            at,
            kind: Kind::Revoke {
                from: Sender { identities: Vec::new(), display_name: None },
                external_message_id: "m".to_owned(),
            },
        };
        let mut sorted = Sorted::default();
        sorted.add(payload, arrived, vec![revoked(None), revoked(Some(Timestamp::UNIX_EPOCH))]);
        let times: Vec<_> = sorted.revokes.iter().map(|(_, at)| *at).collect();
        assert_eq!(times, [arrived, Timestamp::UNIX_EPOCH]);
    }
}
