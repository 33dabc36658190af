//! Room `adapters`: one item of a change: a message, a status, an echo, a piece of history, or
//! something else that is kept as it is.

use misy_channel::event::{
    EchoMessage, Event, IdentityClaim, InboundMessage, Kind, Sender, Status, StatusUpdate,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::{errors, wire};
use super::people::{People, by_phone, by_user_id, claims};
use super::{content, unknown};
use crate::meta::errors::GraphError;
use crate::meta::values::{Fields, Id, Moment, whole};

/// What an item stands in.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    /// The field of its change.
    pub(crate) field: &'a str,
    /// The people that the change names.
    pub(crate) people: &'a People,
    /// The business's own number.
    pub(crate) ours: Option<&'a Id>,
    /// The time of the whole entry, for items without their own.
    pub(crate) time: Option<Moment>,
}

impl Item<'_> {
    /// Reads one item of a list; it gives one event or, for a piece of history, one a message.
    pub(crate) fn receive(self, list: &str, raw: &RawValue, events: &mut Vec<Event>) {
        if list == "history" {
            return self.history(raw, events);
        }
        let Some(fields) = Fields::read(raw) else {
            return events.push(unknown(self.time, &[self.field, list], whole(raw)));
        };
        let kind = match (list, self.field) {
            ("messages", "messages") => self.message(raw, &fields, None),
            ("statuses", "messages") => status(&fields),
            ("message_echoes", _) => self.echo(raw, &fields, None),
            ("user_id_update", _) => user_id_changed(&fields),
            _ => None,
        };
        events.push(self.event(list, raw, &fields, kind));
    }

    fn event(self, list: &str, raw: &RawValue, fields: &Fields<'_>, kind: Option<Kind>) -> Event {
        let at = fields.find::<Moment>("timestamp").or(self.time);
        if let Some(kind) = kind {
            return Event { at: at.map(|Moment(at)| at), kind };
        }
        let told =
            ["type", "event", "status", "value"].iter().find_map(|name| fields.find_text(name));
        let detail = told.unwrap_or_else(|| list.to_owned());
        unknown(at, &[self.field, &detail], whole(raw))
    }

    fn sender(self, message: &Fields<'_>) -> Option<Sender> {
        let (user_id, number) = (message.find::<Id>("from_user_id"), message.find::<Id>("from"));
        self.people.find(user_id.as_ref(), number.as_ref())
    }

    fn message(self, raw: &RawValue, message: &Fields<'_>, past: Option<Value>) -> Option<Kind> {
        let Id(external_id) = message.find("id")?;
        let kind = content::kind_of(message)?;
        let from = self.sender(message);
        match kind.as_str() {
            "edit" => return edit(from?, message),
            "revoke" => return revoke(from?, message),
            "system" => {
                if let Some(change) = identity_changed(message) {
                    return Some(change);
                }
            }
            _ => {}
        }
        let content = content::read(raw, message, &kind)?;
        let (reply_to, mut extra) = context(message);
        extra.extend(past.map(|past| ("history".to_owned(), past)));
        let message = InboundMessage { external_id, from: from?, content, reply_to, extra };
        Some(Kind::Message(message))
    }

    /// What the business sent from its phone or with another tool. Edits and revocations of such
    /// messages are kept whole: the contract's are the customer's.
    fn echo(self, raw: &RawValue, echo: &Fields<'_>, thread: Option<&Id>) -> Option<Kind> {
        let Id(external_id) = echo.find("id")?;
        let kind = content::kind_of(echo).filter(|kind| !matches!(&**kind, "edit" | "revoke"))?;
        let content = content::read(raw, echo, &kind)?;
        let (user_id, number) = (echo.find::<Id>("to_user_id"), echo.find::<Id>("to"));
        let to = self.people.find(user_id.as_ref(), number.as_ref().or(thread))?;
        Some(Kind::Echo(EchoMessage { external_id, to, content }))
    }

    /// Messages from before the number was connected: the customer's as messages that are marked,
    /// the business's as echoes.
    fn history(self, raw: &RawValue, events: &mut Vec<Event>) {
        let before = events.len();
        let chunk = Fields::read(raw);
        let threads = chunk.as_ref().and_then(|it| it.find_list("threads")).unwrap_or_default();
        for thread in threads.iter().filter_map(|thread| Fields::read(thread)) {
            let customer: Option<Id> = thread.find("id");
            for one in thread.find_list("messages").unwrap_or_default() {
                let Some(fields) = Fields::read(one) else {
                    events.push(unknown(self.time, &["history", "messages"], whole(one)));
                    continue;
                };
                let kind = self.past(one, &fields, customer.as_ref());
                events.push(self.event("messages", one, &fields, kind));
            }
        }
        if events.len() == before {
            events.push(unknown(self.time, &[self.field, "history"], whole(raw)));
        }
    }

    fn past(self, raw: &RawValue, message: &Fields<'_>, customer: Option<&Id>) -> Option<Kind> {
        let from = message.find::<Id>("from").as_ref().and_then(by_phone);
        let is_ours = from.is_some() && from == self.ours.and_then(by_phone);
        if is_ours || message.find_raw("to").is_some() {
            return self.echo(raw, message, customer);
        }
        let status = message.find_raw("history_context").map_or(json!({}), whole);
        self.message(raw, message, Some(status))
    }
}

fn user_id_changed(change: &Fields<'_>) -> Option<Kind> {
    let ids: wire::UserIdChange = change.find("user_id")?;
    let (old, new) = (by_user_id(&ids.previous)?, by_user_id(&ids.current)?);
    let number: Option<Id> = change.find("wa_id");
    let new = std::iter::once(new).chain(number.as_ref().and_then(by_phone)).collect();
    Some(Kind::IdentityChanged { old, new })
}

fn edit(from: Sender, message: &Fields<'_>) -> Option<Kind> {
    let raw = message.find_raw("edit")?;
    let edit: wire::Edit<'_> = serde_json::from_str(raw.get()).ok()?;
    let inner = Fields::read(edit.message)?;
    let kind = content::kind_of(&inner)?;
    let content = content::read(edit.message, &inner, &kind)?;
    Some(Kind::Edit { from, external_message_id: edit.original_message_id.0, content })
}

fn revoke(from: Sender, message: &Fields<'_>) -> Option<Kind> {
    let revoke: wire::Revoke = message.find("revoke")?;
    Some(Kind::Revoke { from, external_message_id: revoke.original_message_id.0 })
}

/// A notice that a person has another number or id from now on.
fn identity_changed(message: &Fields<'_>) -> Option<Kind> {
    let notice: wire::System = message.find("system")?;
    notice.kind.as_deref().filter(|kind| kind.starts_with("user_changed_"))?;
    let (user_id, number) = (message.find::<Id>("from_user_id"), message.find::<Id>("from"));
    let new_number = notice.wa_id.or(notice.new_wa_id);
    let mut known = claims(user_id.as_ref(), number.as_ref());
    let mut new = claims(notice.user_id.as_ref(), new_number.as_ref());
    new.retain(|claim| !known.contains(claim));
    // The old identity is the one of the kind that changed, so that the other can stay.
    let changed: Option<usize> =
        known.iter().position(|claim| new.iter().any(|other| other.namespace == claim.namespace));
    let old = known.swap_remove(changed.or_else(|| (!known.is_empty()).then_some(0))?);
    (!new.is_empty()).then_some(Kind::IdentityChanged { old, new })
}

/// What a message answers, and what else is said of it.
fn context(message: &Fields<'_>) -> (Option<String>, Map<String, Value>) {
    let mut extra = Map::new();
    let mut reply_to = None;
    if let Some(context) = message.find_raw("context").and_then(Fields::read) {
        reply_to = context.find::<Id>("id").map(|id| id.0);
        for name in ["forwarded", "frequently_forwarded", "referred_product"] {
            extra.extend(context.find_raw(name).map(|raw| (name.to_owned(), whole(raw))));
        }
    }
    for name in ["referral", "group_id", "from_parent_user_id", "identity"] {
        extra.extend(message.find_raw(name).map(|raw| (name.to_owned(), whole(raw))));
    }
    (reply_to, extra)
}

fn status(status: &Fields<'_>) -> Option<Kind> {
    let Id(external_id) = status.find("id")?;
    let word: String = status.find("status")?;
    let known = match word.as_str() {
        "sent" => Status::Sent,
        "delivered" => Status::Delivered,
        // A voice note that was played was seen.
        "read" | "played" => Status::Read,
        "failed" => Status::Failed,
        _ => return None,
    };
    let errors = status.find_list("errors").unwrap_or_default();
    let first = errors.first().and_then(|raw| GraphError::read(raw)).unwrap_or_default();
    let failure = (known == Status::Failed).then(|| errors::failure(&first));
    let mut extra = Map::new();
    for name in ["pricing", "conversation", "recipient_type", "errors"] {
        extra.extend(status.find_raw(name).map(|raw| (name.to_owned(), whole(raw))));
    }
    if word == "played" {
        extra.insert("played".to_owned(), true.into());
    }
    Some(Kind::Status(StatusUpdate {
        external_id,
        correlation: status.find_text("biz_opaque_callback_data"),
        status: known,
        recipient: recipient(status, &mut extra),
        failure,
        extra,
    }))
}

/// Who received it; in a group that is the participant, and the group is said beside.
fn recipient(status: &Fields<'_>, extra: &mut Map<String, Value>) -> Vec<IdentityClaim> {
    let id = |name| status.find::<Id>(name);
    if status.find_text("recipient_type").as_deref() != Some("group") {
        return claims(id("recipient_user_id").as_ref(), id("recipient_id").as_ref());
    }
    extra.extend(id("recipient_id").map(|group| ("group_id".to_owned(), group.0.into())));
    let person = id("recipient_participant_user_id");
    claims(person.as_ref(), id("recipient_participant_id").as_ref())
}
