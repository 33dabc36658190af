//! Room `adapters`: calls on an account: send a message, mark one read, ask how it is.

use misy_channel::account::{Account, Health};
use misy_channel::capability::Capability;
use misy_channel::content::{
    Buttons, Choice, Contacts, Content, List, Location, Reaction, Section, Template,
};
use misy_channel::event::PHONE;
use misy_channel::fit;
use misy_channel::outbound::{FailureKind, Outbound, Recipient, SendError, Sent};
use misy_egress::{Answer, Egress};
use serde_json::{Map, Value, json};

use super::{USER_ID, config, errors, media, wire};
use crate::meta::errors::GraphError;
use crate::meta::values::{Id, phone};

const MESSAGES: &str = "/{version}/{phone_number_id}/messages";
const NUMBER: &str = "/{version}/{phone_number_id}";
/// The button that opens a list, where the sender named none; most languages know the word.
const LIST_BUTTON: &str = "Menu";
/// Seen by customers, if it is anything but these.
const GOOD_QUALITY: [&str; 4] = ["GREEN", "UNKNOWN", "NA", "HIGH"];

/// Sends one message, once.
pub(crate) async fn send(
    io: &Egress,
    account: &Account,
    message: &Outbound,
    capability: &Capability,
) -> Result<Sent, SendError> {
    fit::check(&message.content, capability)
        .map_err(|misfit| SendError::new(FailureKind::Payload, "misfit", misfit.to_string()))?;
    let body = write(message)?;
    let answer = config::graph(account).post(io, "messages", MESSAGES, &body).await?;
    let id = accepted(&answer)?;
    Ok(Sent { external_id: id })
}

/// The id of an accepted message. Messages that Meta holds back for a quality check are accepted
/// too: their status tells what became of them.
fn accepted(answer: &Answer) -> Result<String, SendError> {
    if let Some(error) = GraphError::in_body(&answer.body) {
        return Err(errors::refusal(answer, &error));
    }
    let read: Option<wire::Accepted> = serde_json::from_slice(&answer.body).ok();
    let first = read.and_then(|accepted| accepted.messages.into_iter().next());
    match first {
        Some(message) if answer.status.is_success() => Ok(message.id.0),
        _ => Err(errors::unreadable(answer)),
    }
}

fn write(message: &Outbound) -> Result<Value, SendError> {
    let (kind, content) = content(&message.content)?;
    let (to, recipient) = address(&message.to)?;
    let quote = message.reply_to.as_deref().filter(|_| kind != "reaction");
    let wire = wire::Message {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: to.as_deref(),
        recipient: recipient.as_deref(),
        context: quote.map(|message_id| wire::Quote { message_id }),
        biz_opaque_callback_data: message.id.to_string(),
        kind,
        content: Map::from_iter([(kind.to_owned(), content)]),
    };
    let broken = |_| SendError::new(FailureKind::Payload, "json", "a number has no form in JSON");
    serde_json::to_value(wire).map_err(broken)
}

/// Phone number or user id; where both are known Meta prefers the number.
fn address(to: &Recipient) -> Result<(Option<String>, Option<String>), SendError> {
    let of = |namespace| to.0.iter().find(|one| one.namespace == namespace).map(|one| &one.value.0);
    let number = of(PHONE).and_then(|text| phone(text));
    match (number, of(USER_ID)) {
        (Some(number), _) => Ok((Some(number.trim_start_matches('+').to_owned()), None)),
        (None, Some(user_id)) => Ok((None, Some(user_id.clone()))),
        (None, None) => {
            let why = "the contact has neither a phone number nor a WhatsApp user id";
            Err(SendError::new(FailureKind::Recipient, "no_address", why))
        }
    }
}

fn content(content: &Content) -> Result<(&'static str, Value), SendError> {
    Ok(match content {
        Content::Text(one) => ("text", text(&one.text)),
        Content::Media(one) => (media::word(one.kind), media::write(one)),
        Content::Buttons(one) => ("interactive", buttons(one)),
        Content::List(one) => ("interactive", list(one)),
        Content::Location(one) => ("location", location(one)),
        Content::Contact(Contacts { contacts, .. }) => ("contacts", json!(contacts)),
        Content::Template(one) => ("template", template(one)),
        Content::Reaction(one) => ("reaction", reaction(one)),
        Content::Card(_) | Content::Carousel(_) | Content::Event(_) => {
            let why = "it was not brought into a form of this channel";
            return Err(SendError::new(FailureKind::Payload, "misfit", why));
        }
    })
}

fn text(body: &str) -> Value {
    let has_link = body.contains("https://") || body.contains("http://");
    json!({"body": body, "preview_url": has_link})
}

fn buttons(one: &Buttons) -> Value {
    let button = |choice: &Choice| {
        let reply = json!({"id": choice.id, "title": choice.title});
        json!({"type": "reply", "reply": reply})
    };
    let buttons: Vec<Value> = one.buttons.iter().map(button).collect();
    let mut object =
        json!({"type": "button", "body": {"text": one.text}, "action": {"buttons": buttons}});
    if let Some(header) = &one.header {
        object["header"] = json!({"type": "text", "text": header});
    }
    if let Some(footer) = &one.footer {
        object["footer"] = json!({"text": footer});
    }
    object
}

fn list(one: &List) -> Value {
    let row = |choice: &Choice| {
        let mut row = json!({"id": choice.id, "title": choice.title});
        if let Some(description) = &choice.description {
            row["description"] = description.as_str().into();
        }
        row
    };
    let section = |section: &Section| {
        let mut object = json!({"rows": section.rows.iter().map(row).collect::<Vec<_>>()});
        if let Some(title) = &section.title {
            object["title"] = title.as_str().into();
        }
        object
    };
    let sections: Vec<Value> = one.sections.iter().map(section).collect();
    let button = one.button.as_deref().unwrap_or(LIST_BUTTON);
    let action = json!({"button": button, "sections": sections});
    json!({"type": "list", "body": {"text": one.text}, "action": action})
}

fn location(place: &Location) -> Value {
    let mut object = json!({"latitude": place.latitude, "longitude": place.longitude});
    for (name, text) in [("name", &place.name), ("address", &place.address)] {
        if let Some(text) = text {
            object[name] = text.as_str().into();
        }
    }
    object
}

fn template(one: &Template) -> Value {
    let mut object = json!({"name": one.name, "language": {"code": one.language}});
    if !one.components.is_empty() {
        object["components"] = json!(one.components);
    }
    object
}

fn reaction(one: &Reaction) -> Value {
    json!({"message_id": one.external_message_id, "emoji": one.emoji.as_deref().unwrap_or("")})
}

/// Marks a message read and, if asked, shows for up to 25 seconds that an answer is being typed.
pub(crate) async fn mark_read(
    io: &Egress,
    account: &Account,
    external_id: &str,
    typing: bool,
) -> Result<(), SendError> {
    let mut body =
        json!({"messaging_product": "whatsapp", "status": "read", "message_id": external_id});
    if typing {
        body["typing_indicator"] = json!({"type": "text"});
    }
    let answer = config::graph(account).post(io, "messages", MESSAGES, &body).await?;
    match GraphError::in_body(&answer.body) {
        Some(error) => Err(errors::refusal(&answer, &error)),
        None if answer.status.is_success() => Ok(()),
        None => Err(errors::unreadable(&answer)),
    }
}

/// Asks for the number's name and quality. An account that Meta refuses is an answer, not an error.
pub(crate) async fn check_health(io: &Egress, account: &Account) -> Result<Health, SendError> {
    let fields = "display_phone_number,verified_name,quality_rating";
    let outcome = config::graph(account).get(io, NUMBER, fields).await;
    let refused = match outcome {
        Ok(answer) => match GraphError::in_body(&answer.body) {
            Some(error) => errors::refusal(&answer, &error),
            None if answer.status.is_success() => return Ok(health(&answer)),
            None => errors::unreadable(&answer),
        },
        Err(error) => error,
    };
    if refused.failure.kind != FailureKind::Account {
        return Err(refused);
    }
    let detail = Some(format!("{} ({})", refused.failure.detail, refused.failure.code));
    Ok(Health { ok: false, display_name: None, address: None, detail })
}

fn health(answer: &Answer) -> Health {
    let number: wire::Shown = serde_json::from_slice(&answer.body).unwrap_or_default();
    let quality = number.quality_rating.filter(|word| !GOOD_QUALITY.contains(&word.as_str()));
    Health {
        ok: true,
        display_name: number.verified_name,
        address: number.display_phone_number.and_then(|Id(text)| phone(&text)),
        detail: quality.map(|word| format!("Customers rate the quality of the number {word}.")),
    }
}
