//! Room `adapters`: from a stored visit to its events.

use misy_channel::ReceiveError;
use misy_channel::content::Content;
use misy_channel::event::{Event, IdentityClaim, InboundMessage, Kind, Sender};
use misy_channel::front::VISITOR;
use misy_core::Personal;
use serde_json::{Map, Value};

use super::wire::{self, Message};

/// All events of a payload, in its order. What cannot be read is kept whole.
pub(crate) fn receive(raw: &[u8]) -> Result<Vec<Event>, ReceiveError> {
    let payload = wire::read(raw)?;
    let from = visitor(&payload.visitor);
    Ok(payload.messages.into_iter().map(|one| event(&from, one)).collect())
}

fn visitor(id: &str) -> Sender {
    let claim = IdentityClaim { namespace: VISITOR, value: Personal(id.to_owned()) };
    Sender { identities: vec![claim], display_name: None }
}

fn event(from: &Sender, raw: Value) -> Event {
    let read: Option<Message> = serde_json::from_value(raw.clone()).ok();
    match read {
        Some(Message { id, at, content: content @ (Content::Text(_) | Content::Buttons(_)) }) => {
            let message = InboundMessage {
                external_id: id,
                from: from.clone(),
                content,
                reply_to: None,
                extra: Map::new(),
            };
            Event { at: Some(at), kind: Kind::Message(message) }
        }
        _ => Event { at: None, kind: Kind::Unknown { name: "message".to_owned(), raw } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_channel::content::{Buttons, Choice};
    use misy_channel::front::Said;
    use misy_core::Timestamp;
    use serde_json::json;

    fn said(content: &Content) -> Vec<u8> {
        let at = Timestamp::UNIX_EPOCH;
        wire::write(Said { account: "site_1", visitor: "v1", external_id: "v1:7", at, content })
    }

    fn message(raw: &[u8]) -> InboundMessage {
        let mut events = receive(raw).expect("a visit");
        assert_eq!(events.len(), 1);
        match events.remove(0).kind {
            Kind::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let text = Content::text("Grüße 👋 <b>&</b> \\ \"");
        let pressed = Choice { id: "y".into(), title: "Yes".into(), description: None };
        let press = Content::Buttons(Buttons {
            text: "Yes".into(),
            pressed: Some(pressed),
            ..Buttons::default()
        });
        for content in [text, press] {
            let message = message(&said(&content));
            assert_eq!(message.content, content);
            assert_eq!(message.external_id, "v1:7");
            assert_eq!(message.from, visitor("v1"));
        }
    }

    #[test]
    fn what_a_visitor_cannot_say_is_kept_whole_beside_what_was_said() {
        let good = json!({"id": "v1:8", "at": "2026-01-01T00:00:00Z",
            "content": {"type": "text", "text": "hello"}});
        let strange = json!({"id": "v1:9", "at": "2026-01-01T00:00:00Z",
            "content": {"type": "template", "name": "x", "language": "en"}});
        let payload =
            json!({"site": "s", "visitor": "v1", "messages": [strange, good, 7]}).to_string();
        let kinds: Vec<bool> = receive(payload.as_bytes())
            .expect("a visit")
            .iter()
            .map(|event| matches!(event.kind, Kind::Message(_)))
            .collect();
        assert_eq!(kinds, [false, true, false]);
    }

    #[test]
    fn what_is_no_visit_is_refused() {
        for raw in ["", "[]", "{}", r#"{"site":"s","visitor":"v"}"#, "\u{0}"] {
            assert!(receive(raw.as_bytes()).is_err(), "{raw}");
        }
    }
}
