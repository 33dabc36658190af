//! Room `sandbox`: a customer writes. Each kind becomes the message object that Meta would put into
//! its webhook.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use data_encoding::BASE64;
use misy_core::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::look;
use super::{ScriptError, chat_name};
use crate::engine::{Engine, fresh_phone};
use crate::graph::media;
use crate::graph::objects::store_media;
use crate::model::{Direction, Hook, Message, Phone};
use crate::world::{Record, Room};
use crate::{names, wire};

/// What a customer does. Which fields count depends on `type`; `docs.md` has the table.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Said {
    from: Option<String>,
    name: Option<String>,
    user_id: Option<String>,
    bsuid_only: Option<bool>,
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    caption: Option<String>,
    filename: Option<String>,
    mime_type: Option<String>,
    /// Bytes of a file in base64; a small sample if absent.
    data: Option<String>,
    animated: bool,
    latitude: f64,
    longitude: f64,
    place: Option<String>,
    address: Option<String>,
    url: Option<String>,
    contacts: Option<Value>,
    id: Option<String>,
    title: Option<String>,
    description: Option<String>,
    payload: Option<String>,
    emoji: Option<String>,
    message_id: Option<String>,
    order: Option<Value>,
    response_json: Option<String>,
    new_phone: Option<String>,
    reply_to: Option<String>,
    forwarded: bool,
    frequently_forwarded: bool,
    referral: Option<Value>,
}

/// Many messages, in the order they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    messages: Vec<Said>,
}

/// A small file of each kind, for whoever gives none.
const SAMPLES: [(&str, &str, &str); 6] = [
    (
        "image",
        "image/png",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E\
         rkJggg==",
    ),
    ("sticker", "image/webp", "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"),
    ("audio", "audio/mpeg", "SUQzBAAAAAAAAA=="),
    ("voice", "audio/ogg; codecs=opus", "T2dnUwACAAAAAAAAAAA="),
    ("video", "video/mp4", "AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t"),
    ("document", "application/pdf", "JVBERi0xLjQKJSVFT0YK"),
];

/// `POST /sandbox/accounts/{account}/messages`
pub(crate) async fn say(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ScriptError> {
    look(&engine, &account, |_| ())?;
    let said = read(&body)?;
    let mut files = Vec::with_capacity(said.len());
    for one in &said {
        files.push(store_file(&engine, &account, one).await?);
    }
    let told = engine.change(|world| {
        let room = world.find(&account).ok_or_else(|| ScriptError::unknown("account"))?;
        let mut scribe = Scribe::new(room, &engine);
        for (one, file) in said.iter().zip(&files) {
            scribe.write(one, file.as_deref())?;
        }
        Ok::<_, ScriptError>((scribe.records, scribe.told))
    })?;
    engine.ring(&account);
    let id = told.first().map(|first| first["id"].clone());
    Ok(Json(json!({"id": id, "messages": told})))
}

/// Serde's word on an untagged enum helps nobody, so the form is chosen by hand.
fn read(body: &[u8]) -> Result<Vec<Said>, ScriptError> {
    let is_many = serde_json::from_slice::<HashMap<&str, &serde_json::value::RawValue>>(body)
        .is_ok_and(|object| object.contains_key("messages"));
    if is_many {
        let many: Many = serde_json::from_slice(body).map_err(ScriptError::wrong)?;
        return Ok(many.messages);
    }
    serde_json::from_slice(body).map(|one| vec![one]).map_err(ScriptError::wrong)
}

/// Stores the file of a message that has one, and gives its id.
async fn store_file(
    engine: &Engine,
    account: &str,
    said: &Said,
) -> Result<Option<String>, ScriptError> {
    let kind = said.kind.as_deref().unwrap_or("text");
    let Some((_, sample_type, sample)) = SAMPLES.iter().find(|(known, ..)| *known == kind) else {
        return Ok(None);
    };
    let data = said.data.as_deref().unwrap_or(sample);
    let bytes = BASE64.decode(data.as_bytes()).map_err(ScriptError::wrong)?;
    let mime_type = said.mime_type.clone().unwrap_or_else(|| (*sample_type).to_owned());
    let id = store_media(engine, account, mime_type, Bytes::from(bytes), true).await?;
    Ok(Some(id))
}

/// Turns what customers say into records, keeping count of what is not applied yet.
struct Scribe<'a> {
    room: &'a Room,
    engine: &'a Engine,
    now: Timestamp,
    serial: u64,
    met: HashMap<String, Phone>,
    records: Vec<Record>,
    told: Vec<Value>,
}

impl<'a> Scribe<'a> {
    fn new(room: &'a Room, engine: &'a Engine) -> Self {
        Self {
            room,
            engine,
            now: engine.ambient.now(),
            serial: room.next_hook(),
            met: HashMap::new(),
            records: Vec::new(),
            told: Vec::new(),
        }
    }

    /// One message: its phone, its object, its records.
    fn write(&mut self, said: &Said, file: Option<&str>) -> Result<(), ScriptError> {
        let phone = self.meet(said)?;
        let kind = said.kind.as_deref().unwrap_or("text");
        let id = names::wamid(&self.engine.ambient, &phone.chat, Direction::In);
        let mut message = json!({
            "from_user_id": phone.user_id, "id": id,
            "timestamp": self.now.as_second().to_string(),
        });
        if !phone.bsuid_only {
            message["from"] = phone.chat.clone().into();
        }
        let (wire_kind, content) = self.content(said, kind, file)?;
        message["type"] = wire_kind.into();
        if let Some(content) = content {
            let key = if wire_kind == "unsupported" { "errors" } else { wire_kind };
            message[key] = content;
        }
        if let Some(context) = self.context(said, &phone) {
            message["context"] = context;
        }
        if let Some(referral) = &said.referral {
            message["referral"] = referral.clone();
        }
        self.push(&phone, &id, wire_kind, &message);
        Ok(())
    }

    /// The phone that speaks, met or changed by what is said about it.
    fn meet(&mut self, said: &Said) -> Result<Phone, ScriptError> {
        let name = said.from.as_deref().or(said.user_id.as_deref());
        let chat = chat_name(name.ok_or_else(|| ScriptError::wrong("`from` is needed"))?)?;
        let known = self.met.get(&chat).or_else(|| self.room.find_phone(&chat)).cloned();
        let is_new = known.is_none();
        let mut phone = known.unwrap_or_else(|| fresh_phone(&self.room.account, &chat));
        let before = (phone.name.clone(), phone.user_id.clone(), phone.bsuid_only);
        phone.name = said.name.clone().unwrap_or(phone.name);
        phone.user_id = said.user_id.clone().unwrap_or(phone.user_id);
        phone.bsuid_only = said.bsuid_only.unwrap_or(phone.bsuid_only);
        if !names::is_user_id(&phone.user_id) {
            return Err(ScriptError::wrong("`user_id` is malformed"));
        }
        if is_new || before != (phone.name.clone(), phone.user_id.clone(), phone.bsuid_only) {
            let account = self.room.account.phone_number_id.clone();
            self.records.push(Record::Phone { account, phone: phone.clone() });
        }
        self.met.insert(chat, phone.clone());
        Ok(phone)
    }

    /// Which message is answered, and whether this one was forwarded.
    fn context(&self, said: &Said, phone: &Phone) -> Option<Value> {
        let business = names::phone_digits(&self.room.account.display_phone_number);
        let mut context = json!({});
        if let Some(id) = &said.reply_to {
            let of_business = self.room.find_message(id);
            let of_business = of_business.is_none_or(|message| message.direction == Direction::Out);
            let author = if of_business { business } else { Some(phone.chat.clone()) };
            context = json!({"from": author, "id": id});
        }
        if said.forwarded {
            context["forwarded"] = true.into();
        }
        if said.frequently_forwarded {
            context["frequently_forwarded"] = true.into();
        }
        context.as_object().is_some_and(|it| !it.is_empty()).then_some(context)
    }

    /// The type that Meta writes, and what stands under it.
    fn content(
        &self,
        said: &Said,
        kind: &str,
        file: Option<&str>,
    ) -> Result<(&'static str, Option<Value>), ScriptError> {
        let (wire_kind, content) = match kind {
            "text" => ("text", json!({"body": need(said.text.as_ref(), "text")?})),
            "location" => ("location", location(said)),
            "contacts" => ("contacts", said.contacts.clone().unwrap_or_else(sample_contacts)),
            "button" => ("button", template_button(said)?),
            "button_reply" | "list_reply" | "flow_reply" => ("interactive", choice(said, kind)?),
            "reaction" => ("reaction", reaction(said)?),
            "edit" => ("edit", edit(said)?),
            "revoke" => (
                "revoke",
                json!({"original_message_id": need(said.message_id.as_ref(), "message_id")?}),
            ),
            "order" => ("order", said.order.clone().unwrap_or_else(sample_order)),
            "system" => ("system", self.system(said)?),
            "unsupported" => ("unsupported", unsupported()),
            "request_welcome" => return Ok(("request_welcome", None)),
            _ => return self.file_content(said, kind, file),
        };
        Ok((wire_kind, Some(content)))
    }

    /// The notice that a customer has another number now.
    fn system(&self, said: &Said) -> Result<Value, ScriptError> {
        let (old, new) = (said.from.as_deref(), said.new_phone.as_deref());
        let new = chat_name(new.ok_or_else(|| ScriptError::wrong("`new_phone` is needed"))?)?;
        let old = chat_name(old.ok_or_else(|| ScriptError::wrong("`from` is needed"))?)?;
        let name = self.met.get(&old).map_or(old.as_str(), |phone| phone.name.as_str());
        let body = format!("User {name} changed from {old} to {new}");
        Ok(json!({"body": body, "wa_id": new, "type": "user_changed_number"}))
    }

    /// What stands under the type of a message with a file.
    fn file_content(
        &self,
        said: &Said,
        kind: &str,
        file: Option<&str>,
    ) -> Result<(&'static str, Option<Value>), ScriptError> {
        let wire_kind = match kind {
            "image" => "image",
            "video" => "video",
            "document" => "document",
            "sticker" => "sticker",
            "audio" | "voice" => "audio",
            _ => return Err(ScriptError::wrong(format_args!("there is no type `{kind}`"))),
        };
        let stored = file.and_then(|id| self.room.media.get(id));
        let stored = stored.ok_or_else(|| ScriptError::unknown("file"))?;
        let hash = misy_core::crypto::from_hex(&stored.sha256).unwrap_or_default();
        let account = &self.room.account;
        let mut content = drop_nulls(json!({
            "id": stored.id, "mime_type": stored.mime_type, "sha256": BASE64.encode(&hash),
            "url": media::address(&self.engine.base, account, &stored.id, self.now),
            "caption": said.caption, "filename": said.filename,
        }));
        match kind {
            "audio" | "voice" => content["voice"] = (kind == "voice").into(),
            "sticker" => content["animated"] = said.animated.into(),
            _ => {}
        }
        Ok((wire_kind, Some(content)))
    }

    /// Writes the records of a message.
    fn push(&mut self, phone: &Phone, id: &str, kind: &str, message: &Value) {
        let account = &self.room.account;
        let hook = self.room.is_listening().then(|| Hook {
            serial: self.serial,
            chat: phone.chat.clone(),
            change: wire::message_change(account, phone, message),
        });
        self.serial += u64::from(hook.is_some());
        let stored = Message {
            id: id.to_owned(),
            chat: phone.chat.clone(),
            direction: Direction::In,
            at: self.now,
            kind: kind.to_owned(),
            payload: wire::raw(message),
            statuses: std::collections::BTreeMap::default(),
            fate: None,
            opaque: None,
            category: String::new(),
            read: false,
        };
        let account = account.phone_number_id.clone();
        self.records.push(Record::Message { account, message: Box::new(stored), hook });
        self.told.push(json!({"id": id, "phone": phone.chat, "user_id": phone.user_id}));
    }
}

/// A field that this kind cannot do without.
fn need(value: Option<&String>, name: &str) -> Result<String, ScriptError> {
    value.cloned().ok_or_else(|| ScriptError::wrong(format_args!("`{name}` is needed")))
}

/// A tap on a quick reply of a template.
fn template_button(said: &Said) -> Result<Value, ScriptError> {
    let text = need(said.text.as_ref(), "text")?;
    let payload = said.payload.clone().unwrap_or_else(|| text.clone());
    Ok(json!({"text": text, "payload": payload}))
}

/// A choice among what an interactive message offered.
fn choice(said: &Said, kind: &str) -> Result<Value, ScriptError> {
    if kind == "flow_reply" {
        let answers = said.response_json.as_deref().unwrap_or("{}");
        let reply = json!({"name": "flow", "body": "Sent", "response_json": answers});
        return Ok(json!({"type": "nfm_reply", "nfm_reply": reply}));
    }
    let reply = drop_nulls(json!({
        "id": need(said.id.as_ref(), "id")?, "title": need(said.title.as_ref(), "title")?,
        "description": said.description,
    }));
    Ok(json!({"type": kind, kind: reply}))
}

/// An emoji under a message; an empty one takes it back.
fn reaction(said: &Said) -> Result<Value, ScriptError> {
    let emoji = said.emoji.clone().unwrap_or_default();
    Ok(json!({"message_id": need(said.message_id.as_ref(), "message_id")?, "emoji": emoji}))
}

/// Another text for a message that was sent before. Meta names the edited one `M0`.
fn edit(said: &Said) -> Result<Value, ScriptError> {
    let text = json!({"body": need(said.text.as_ref(), "text")?});
    let message = json!({"context": {"id": "M0"}, "type": "text", "text": text});
    let target = need(said.message_id.as_ref(), "message_id")?;
    Ok(json!({"original_message_id": target, "message": message}))
}

/// What Meta says of a kind it does not hand on; it stands under `errors`.
fn unsupported() -> Value {
    let title = "Message type unknown";
    let details = json!({"details": "Message type is currently not supported."});
    json!([{"code": 131_051, "title": title, "message": title, "error_data": details}])
}

/// Leaves out what was not given.
fn drop_nulls(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

/// A place on the map.
fn location(said: &Said) -> Value {
    drop_nulls(json!({
        "latitude": said.latitude, "longitude": said.longitude, "name": said.place,
        "address": said.address, "url": said.url,
    }))
}

/// A card for whoever gives none.
fn sample_contacts() -> Value {
    json!([{
        "name": {"formatted_name": "Lucía Gómez", "first_name": "Lucía", "last_name": "Gómez"},
        "phones": [{"phone": "+1 (983) 555-2319", "wa_id": "19835552319", "type": "MOBILE"}],
    }])
}

/// A basket for whoever gives none.
fn sample_order() -> Value {
    json!({"catalog_id": "194836987003835", "text": "", "product_items": [
        {"product_retailer_id": "di9ozbzfi4", "quantity": 2, "item_price": 30, "currency": "USD"},
    ]})
}
