//! Room `adapters`: what an inbound message says. A type without a form of its own here becomes an
//! event that keeps everything.

use misy_channel::content::{
    Buttons, Choice, Contacts, Content, EventContent, List, Location, MediaKind, Reaction,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::{media, wire};
use crate::meta::errors::GraphError;
use crate::meta::values::{Fields, Id, label, whole};

/// Types by which a message without a `type` is recognised.
const TYPES: [&str; 12] = [
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "button",
    "reaction",
    "order",
];

/// The type of a message.
pub(crate) fn kind_of(message: &Fields<'_>) -> Option<String> {
    let told = message.find_text("type");
    told.or_else(|| {
        TYPES.iter().find(|kind| message.find_raw(kind).is_some()).map(|kind| (*kind).into())
    })
}

/// Reads what a message says; `None` if the part that its type promises is absent or odd.
pub(crate) fn read(raw: &RawValue, message: &Fields<'_>, kind: &str) -> Option<Content> {
    match kind {
        "text" => message.find::<wire::Text>("text").map(|text| Content::text(text.body)),
        "image" => media::read(message, kind, MediaKind::Image),
        "video" => media::read(message, kind, MediaKind::Video),
        "audio" => media::read(message, kind, MediaKind::Audio),
        "document" => media::read(message, kind, MediaKind::Document),
        "sticker" => media::read(message, kind, MediaKind::Sticker),
        "location" => message.find(kind).map(location),
        "contacts" => contacts(message.find(kind)?),
        "interactive" => Some(interactive(raw, message)),
        "button" => message.find(kind).map(button),
        "reaction" => message.find(kind).map(reaction),
        "order" => {
            Some(event("order", words_of(message, "order", "text"), object(message, "order")))
        }
        "system" => Some(system(raw, message)),
        "unsupported" => Some(event("unsupported", why(message), members(whole(raw)))),
        other => Some(event(other, why(message), members(whole(raw)))),
    }
}

fn event(name: &str, text: Option<String>, data: Map<String, Value>) -> Content {
    Content::Event(EventContent { name: label(&[name]), text, data })
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("raw".to_owned(), other)]),
    }
}

fn object(message: &Fields<'_>, name: &str) -> Map<String, Value> {
    message.find_raw(name).map(|raw| members(whole(raw))).unwrap_or_default()
}

fn words_of(message: &Fields<'_>, part: &str, field: &str) -> Option<String> {
    message.find_raw(part).and_then(Fields::read)?.find_text(field)
}

/// Why Meta could not pass a message on.
fn why(message: &Fields<'_>) -> Option<String> {
    let first = message.find_list("errors")?.first().copied()?;
    GraphError::read(first).map(|error| error.text().to_owned()).filter(|text| !text.is_empty())
}

fn location(place: wire::Location) -> Content {
    let wire::Location { latitude, longitude, name, address } = place;
    Content::Location(Location { latitude, longitude, name, address })
}

fn contacts(cards: Vec<Value>) -> Option<Content> {
    let name = |card: &Value| {
        let card: Option<wire::ContactCard> = serde_json::from_value(card.clone()).ok();
        card.and_then(|card| card.name.formatted_name)
    };
    let names: Vec<String> = cards.iter().filter_map(name).collect();
    (!cards.is_empty())
        .then(|| Content::Contact(Contacts { text: names.join(", "), contacts: cards }))
}

fn choice(reply: wire::Reply) -> Choice {
    let wire::Reply { id: Id(id), title, description } = reply;
    Choice { id, title, description: description.filter(|text| !text.is_empty()) }
}

fn pressed(choice: Choice) -> Content {
    let text = choice.title.clone();
    Content::Buttons(Buttons { text, pressed: Some(choice), ..Buttons::default() })
}

fn button(button: wire::Button) -> Content {
    let id = button.payload.map_or_else(|| button.text.clone(), |payload| payload.0);
    pressed(Choice { id, title: button.text, description: None })
}

fn reaction(reaction: wire::Reaction) -> Content {
    let emoji = reaction.emoji.filter(|emoji| !emoji.is_empty());
    Content::Reaction(Reaction { external_message_id: reaction.message_id.0, emoji })
}

fn interactive(raw: &RawValue, message: &Fields<'_>) -> Content {
    let inner = message.find_raw("interactive").and_then(Fields::read);
    let kind = inner.as_ref().and_then(|it| it.find_text("type")).unwrap_or_default();
    let reply = |name: &str| inner.as_ref().and_then(|it| it.find::<wire::Reply>(name)).map(choice);
    match kind.as_str() {
        "button_reply" => reply("button_reply").map(pressed),
        "list_reply" => reply("list_reply").map(|choice| {
            let text = choice.title.clone();
            Content::List(List { text, chosen: Some(choice), ..List::default() })
        }),
        "nfm_reply" => Some(form(message)),
        _ => None,
    }
    .unwrap_or_else(|| {
        let name = if kind.is_empty() { "interactive" } else { &kind };
        event(name, why(message), members(whole(raw)))
    })
}

/// A filled form (flow): its answers come as JSON inside a text.
fn form(message: &Fields<'_>) -> Content {
    let inner = message.find_raw("interactive").and_then(Fields::read);
    let reply = inner.as_ref().and_then(|it| it.find_raw("nfm_reply"));
    let mut data = reply.map(|raw| members(whole(raw))).unwrap_or_default();
    let told = data.get("response_json").and_then(Value::as_str);
    if let Some(answers) = told.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        data.insert("response".to_owned(), answers);
    }
    let text = data.get("body").and_then(Value::as_str).map(str::to_owned);
    event("nfm_reply", text, data)
}

fn system(raw: &RawValue, message: &Fields<'_>) -> Content {
    let notice: Option<wire::System> = message.find("system");
    let (kind, text) = notice.map_or((None, None), |notice| (notice.kind, notice.body));
    event(kind.as_deref().unwrap_or("system"), text, members(whole(raw)))
}
