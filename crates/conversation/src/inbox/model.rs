//! Room `conversation`: stored payloads, and their events sorted by what they need.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use misy_channel::event::{EchoMessage, Event, InboundMessage, Kind, Sender};
use misy_channel::{Content, IdentityClaim, StatusUpdate};
use misy_core::{ChannelId, InboxId, Timestamp, crypto};
use serde_json::{Value, json};

/// A stored payload that waits to be ingested.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: InboxId,
    pub(crate) body: Vec<u8>,
    pub(crate) attempts: i16,
    pub(crate) received_at: Timestamp,
}

/// A payload that was taken in.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) id: InboxId,
    pub(crate) digest: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) events: Option<i32>,
    pub(crate) received_at: Timestamp,
}

impl Done {
    /// As it is kept: the body as it came, as text where it is text.
    pub(crate) fn document(&self, channel: ChannelId) -> Value {
        let text = std::str::from_utf8(&self.body).ok().filter(|text| !text.contains('\0'));
        let (form, body) = match text {
            Some(text) => ("text", text.to_owned()),
            None => ("base64", STANDARD.encode(&self.body)),
        };
        json!({
            "channel": channel, "received_at": self.received_at, "form": form, "body": body,
            "digest": crypto::to_hex(&self.digest), "events": self.events,
        })
    }
}

/// How often a payload is tried before it is set aside.
const ATTEMPTS_MAX: i16 = 5;

/// When a payload that has just failed once more is tried again; never, when it was tried often
/// enough.
pub(crate) fn due_again(failed_before: i16, now: Timestamp) -> Option<Timestamp> {
    let failed = failed_before.saturating_add(1);
    let pause = SignedDuration::from_secs(10 << (2 * failed.clamp(0, ATTEMPTS_MAX)));
    (failed < ATTEMPTS_MAX).then_some(now + pause)
}

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
    pub(crate) edits: Vec<(InboxId, Edit)>,
    pub(crate) revokes: Vec<(InboxId, Revoke)>,
    pub(crate) identities: Vec<(IdentityClaim, Vec<IdentityClaim>)>,
    pub(crate) unknown: Vec<(InboxId, String, Value)>,
}

impl Sorted {
    /// Adds the events of one payload. One without a credible time of its own happened when it
    /// arrived.
    pub(crate) fn add(&mut self, payload: InboxId, received_at: Timestamp, events: Vec<Event>) {
        for event in events {
            let at = event.at.filter(|at| is_plausible(*at, received_at)).unwrap_or(received_at);
            match event.kind {
                Kind::Message(what) if what.is_history() => self.history.push(Placed { at, what }),
                Kind::Message(what) => self.messages.push(Placed { at, what }),
                Kind::Echo(what) => self.echoes.push(Placed { at, what }),
                Kind::Status(what) => self.statuses.push((what, at)),
                Kind::Edit { external_message_id, content, .. } => {
                    self.edits.push((payload, (external_message_id, content, at)));
                }
                Kind::Revoke { external_message_id, .. } => {
                    self.revokes.push((payload, (external_message_id, at)));
                }
                Kind::IdentityChanged { old, new } => self.identities.push((old, new)),
                Kind::Unknown { name, raw } => self.unknown.push((payload, name, raw)),
            }
        }
    }
}

/// Clocks differ, but not by more than this, in hours.
const AHEAD_MAX_H: i64 = 24;

/// A time that no database holds, or that would keep a customer's window open for ever, is
/// nobody's.
fn is_plausible(at: Timestamp, received_at: Timestamp) -> bool {
    let latest = received_at.saturating_add(jiff::SignedDuration::from_hours(AHEAD_MAX_H));
    at >= Timestamp::UNIX_EPOCH && latest.is_ok_and(|latest| at <= latest)
}

/// An event that is kept as it is: the payload it came in, its name, what it says.
pub(crate) type Kept = (InboxId, String, Value);

/// What a customer changed a message to, and when.
pub(crate) type Edit = (String, Content, Timestamp);

/// Which message a customer took back, and when.
pub(crate) type Revoke = (String, Timestamp);

/// The names under which edits and revocations wait for a message that is not known yet.
pub(crate) const EARLY_EDIT: &str = "edit.early";
pub(crate) const EARLY_REVOKE: &str = "revoke.early";

/// An edit to be kept until its message comes.
pub(crate) fn early_edit(payload: InboxId, (id, content, at): &Edit) -> Kept {
    let raw =
        json!({ "external_message_id": crate::storable_id(id), "content": content, "at": at });
    (payload, EARLY_EDIT.to_owned(), raw)
}

/// A revocation to be kept until its message comes.
pub(crate) fn early_revoke(payload: InboxId, (id, at): &Revoke) -> Kept {
    let raw = json!({ "external_message_id": crate::storable_id(id), "at": at });
    (payload, EARLY_REVOKE.to_owned(), raw)
}

impl Sorted {
    /// Adds what was kept by [`early_edit`] and [`early_revoke`] before everything newer.
    pub(crate) fn add_early(&mut self, early: Vec<Kept>) {
        let (mut edits, mut revokes) = (Vec::new(), Vec::new());
        for (payload, _, mut raw) in early {
            let id = raw["external_message_id"].as_str().unwrap_or_default().to_owned();
            let Ok(at) = serde_json::from_value(raw["at"].take()) else { continue };
            match serde_json::from_value(raw["content"].take()) {
                Ok(content) => edits.push((payload, (id, content, at))),
                Err(_) => revokes.push((payload, (id, at))),
            }
        }
        self.edits.splice(0..0, edits);
        self.revokes.splice(0..0, revokes);
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
    fn a_body_that_is_no_text_is_kept_to_the_last_byte() {
        let payload = |body: &[u8]| Done {
            id: InboxId::from_uuid(Uuid::from_u128(1)),
            digest: vec![0xab],
            body: body.to_vec(),
            events: Some(2),
            received_at: Timestamp::UNIX_EPOCH,
        };
        let channel = ChannelId::from_uuid(Uuid::from_u128(2));
        for body in [&b"\xff\x00"[..], b"a\0b"] {
            let kept = payload(body).document(channel);
            let text = kept["body"].as_str().expect("text");
            assert_eq!(
                (kept["form"].as_str(), STANDARD.decode(text)),
                (Some("base64"), Ok(body.to_vec()))
            );
        }
        let kept = payload("{\"ü\": 1}".as_bytes()).document(channel);
        assert_eq!((&kept["form"], &kept["body"]), (&json!("text"), &json!("{\"ü\": 1}")));
        assert_eq!((&kept["digest"], &kept["events"]), (&json!("ab"), &json!(2)));
    }

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
        let times: Vec<_> = sorted.revokes.iter().map(|(_, (_, at))| *at).collect();
        assert_eq!(times, [arrived, Timestamp::UNIX_EPOCH]);
    }

    #[test]
    fn a_time_that_nobody_can_mean_is_the_time_of_arrival() {
        let arrived = Timestamp::from_second(1_700_000_000).expect("a valid time");
        let hours = |count| arrived + jiff::SignedDuration::from_hours(count);
        for (at, is_meant) in [
            (hours(-24 * 365), true),
            (hours(AHEAD_MAX_H), true),
            (hours(AHEAD_MAX_H + 1), false),
            (Timestamp::MAX, false),
            (Timestamp::MIN, false),
        ] {
            assert_eq!(is_plausible(at, arrived), is_meant, "{at}");
        }
    }
}
