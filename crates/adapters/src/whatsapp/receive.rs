//! Room `adapters`: from a stored payload to its events. Every entry, change and item gives at
//! least one event; what cannot be read is kept whole under a name to count it by.

mod content;
mod items;
mod people;

use misy_channel::ReceiveError;
use misy_channel::event::{Event, Kind};
use serde_json::Value;
use serde_json::value::RawValue;

use super::route;
use super::wire::Metadata;
use crate::meta::values::{Fields, Moment, label, whole};
use items::Item;
use people::People;

/// Lists whose elements are events of their own.
const LISTS: [&str; 9] = [
    "messages",
    "statuses",
    "message_echoes",
    "history",
    "calls",
    "groups",
    "user_preferences",
    "state_sync",
    "user_id_update",
];
/// What a change says about itself rather than about something that happened.
const CONTEXT: [&str; 3] = ["messaging_product", "metadata", "contacts"];

/// All events of a payload, in its order.
pub(crate) fn receive(raw: &[u8]) -> Result<Vec<Event>, ReceiveError> {
    let payload = route::read(raw)?;
    let mut events = Vec::new();
    for entry in payload.entry {
        let fields = Fields::read(entry);
        let time = fields.as_ref().and_then(|it| it.find::<Moment>("time"));
        let changes = fields.and_then(|it| it.find_list("changes")).unwrap_or_default();
        if changes.is_empty() {
            events.push(unknown(time, &["entry"], whole(entry)));
        }
        for change in changes {
            receive_change(change, time, &mut events);
        }
    }
    Ok(events)
}

/// What nobody foresaw, kept whole.
fn unknown(at: Option<Moment>, name: &[&str], raw: Value) -> Event {
    let at = at.map(|Moment(at)| at);
    Event { at, kind: Kind::Unknown { name: label(name), raw } }
}

fn receive_change(change: &RawValue, time: Option<Moment>, events: &mut Vec<Event>) {
    let Some(fields) = Fields::read(change) else {
        return events.push(unknown(time, &["change"], whole(change)));
    };
    let field: String = fields.find("field").unwrap_or_else(|| "change".to_owned());
    let value = fields.find_raw("value").and_then(Fields::read);
    let Some(value) = value else {
        return events.push(unknown(time, &[&field], whole(change)));
    };
    let before = events.len();
    let people = People::read(&value);
    let metadata: Option<Metadata> = value.find("metadata");
    let ours = metadata.and_then(|it| it.display_phone_number);
    let scene = Item { field: &field, people: &people, ours: ours.as_ref(), time };
    for list in LISTS {
        for one in value.find_list(list).unwrap_or_default() {
            scene.receive(list, one, events);
        }
    }
    if field == "messages" || events.len() > before {
        for error in value.find_list("errors").unwrap_or_default() {
            events.push(unknown(time, &[&field, "errors"], whole(error)));
        }
    }
    if events.len() == before {
        let event: String = value.find("event").or_else(|| value.find("type")).unwrap_or_default();
        return events.push(unknown(time, &[&field, &event], whole(change)));
    }
    receive_strange(&field, &value, time, events);
}

/// Parts that stand beside known ones and that nobody knows yet.
fn receive_strange(field: &str, value: &Fields<'_>, time: Option<Moment>, events: &mut Vec<Event>) {
    for (name, raw) in value.iter() {
        let is_list = LISTS.contains(&name) || name == "errors";
        let is_known = CONTEXT.contains(&name) || (is_list && raw.get().starts_with('['));
        if !is_known && raw.get().starts_with(['{', '[']) {
            events.push(unknown(time, &[field, name], whole(raw)));
        }
    }
}
