//! Room `sandbox`: what is on a customer's phone, and what the business sent, over the script API.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use misy_core::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::look;
use super::{ScriptError, chat_name};
use crate::engine::{Engine, fresh_phone};
use crate::model::{Direction, Message, Phone};
use crate::world::Record;

/// JSON, or an error of the script API.
type Answer = Result<Json<Value>, ScriptError>;

/// The phone without its chat.
fn describe(phone: &Phone, now: Timestamp) -> Value {
    let closes_at = phone.last_wrote_at.map(|at| at.as_second() + 24 * 3_600);
    json!({
        "phone": phone.chat, "name": phone.name, "user_id": phone.user_id,
        "bsuid_only": phone.bsuid_only, "on_whatsapp": phone.on_whatsapp,
        "window": {
            "open": phone.is_window_open(now),
            "closed_by_order": phone.window_closed,
            "closes_at": closes_at.and_then(|at| Timestamp::from_second(at).ok()),
        },
        "typing": phone.typing_until.is_some_and(|until| until > now),
    })
}

/// A message as the phone shows it, with what Meta knows of it.
fn show_message(message: &Message) -> Value {
    let mut shown = json!({
        "id": message.id, "direction": message.direction, "at": message.at, "type": message.kind,
        "payload": message.payload,
    });
    match message.direction {
        Direction::In => shown["read"] = message.read.into(),
        Direction::Out => {
            shown["status"] = message.status().word().into();
            shown["statuses"] = json!(message.statuses);
            shown["biz_opaque_callback_data"] = json!(message.opaque);
            shown["error_code"] = json!(message.fate);
        }
    }
    shown
}

/// `GET /sandbox/accounts/{account}/phones`, the last to write first.
pub(crate) async fn list(State(engine): State<Arc<Engine>>, Path(account): Path<String>) -> Answer {
    let now = engine.ambient.now();
    look(&engine, &account, |room| {
        let mut phones: Vec<&Phone> = room.phones.values().collect();
        phones.sort_by_key(|phone| std::cmp::Reverse(phone.last_wrote_at));
        let data: Vec<Value> = phones.iter().map(|phone| describe(phone, now)).collect();
        Json(json!({ "data": data }))
    })
}

/// `GET /sandbox/accounts/{account}/phones/{phone}`: the chat both ways, oldest first. With
/// `?revision=` of the last answer it is 204 while nothing has changed; `?last=` limits how many.
pub(crate) async fn show(
    State(engine): State<Arc<Engine>>,
    Path((account, phone)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, ScriptError> {
    let chat = chat_name(&phone)?;
    let now = engine.ambient.now();
    let seen: Option<u64> = query.get("revision").and_then(|text| text.parse().ok());
    let last = query.get("last").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let answer = look(&engine, &account, |room| {
        if seen == Some(room.revision) {
            return Some(StatusCode::NO_CONTENT.into_response());
        }
        let phone = room.find_phone(&chat)?;
        let mut view = describe(phone, now);
        let mut messages: Vec<Value> = room.chat(&phone.chat).map(show_message).collect();
        view["messages"] = messages.split_off(messages.len().saturating_sub(last)).into();
        view["revision"] = room.revision.into();
        Some(Json(view).into_response())
    })?;
    answer.ok_or_else(|| ScriptError::unknown("phone"))
}

/// What is not given stays as it is.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PhoneChange {
    name: Option<String>,
    user_id: Option<String>,
    bsuid_only: Option<bool>,
    on_whatsapp: Option<bool>,
    window_closed: Option<bool>,
    /// As if the customer had written just now, though nothing is delivered.
    wrote: bool,
}

/// `PATCH /sandbox/accounts/{account}/phones/{phone}`; a phone not met before is made.
pub(crate) async fn edit(
    State(engine): State<Arc<Engine>>,
    Path((account, phone)): Path<(String, String)>,
    Json(change): Json<PhoneChange>,
) -> Answer {
    edit_phone(&engine, &account, &phone, change)
}

/// Whether the window counts as closed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowChange {
    closed: bool,
}

/// `POST /sandbox/accounts/{account}/phones/{phone}/window`: as if 24 hours had passed, or back.
pub(crate) async fn set_window(
    State(engine): State<Arc<Engine>>,
    Path((account, phone)): Path<(String, String)>,
    Json(change): Json<WindowChange>,
) -> Answer {
    let change = PhoneChange { window_closed: Some(change.closed), ..PhoneChange::default() };
    edit_phone(&engine, &account, &phone, change)
}

/// Changes a phone, or makes it.
fn edit_phone(engine: &Engine, account: &str, phone: &str, change: PhoneChange) -> Answer {
    let chat = chat_name(phone)?;
    let now = engine.ambient.now();
    engine.change(|world| {
        let room = world.find(account).ok_or_else(|| ScriptError::unknown("account"))?;
        let known = room.find_phone(&chat).cloned();
        let mut phone = known.unwrap_or_else(|| fresh_phone(&room.account, &chat));
        phone.name = change.name.unwrap_or(phone.name);
        phone.user_id = change.user_id.unwrap_or(phone.user_id);
        phone.bsuid_only = change.bsuid_only.unwrap_or(phone.bsuid_only);
        phone.on_whatsapp = change.on_whatsapp.unwrap_or(phone.on_whatsapp);
        phone.window_closed = change.window_closed.unwrap_or(phone.window_closed);
        phone.last_wrote_at = if change.wrote { Some(now) } else { phone.last_wrote_at };
        let shown = describe(&phone, now);
        let record = Record::Phone { account: account.to_owned(), phone };
        Ok((vec![record], Json(shown)))
    })
}

/// `GET /sandbox/accounts/{account}/outbound?after=&limit=`: every message the business sent, in
/// the order of acceptance. `next` is the `after` for what comes later.
pub(crate) async fn outbound(
    State(engine): State<Arc<Engine>>,
    Path(account): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Answer {
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
    let (after, limit) = (number("after").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
    look(&engine, &account, |room| {
        let mut next = after;
        let data: Vec<Value> = room
            .messages
            .iter()
            .enumerate()
            .skip(after)
            .filter(|(_, message)| message.direction == Direction::Out)
            .take(limit)
            .map(|(place, message)| {
                next = place + 1;
                let mut shown = show_message(message);
                shown["sequence"] = (place + 1).into();
                shown["phone"] = message.chat.clone().into();
                shown
            })
            .collect();
        Json(json!({"data": data, "next": next}))
    })
}

/// `GET /sandbox/accounts/{account}/media/{media}`: the bytes, for the page and for tests.
pub(crate) async fn media(
    State(engine): State<Arc<Engine>>,
    Path((account, media)): Path<(String, String)>,
) -> Result<Response, ScriptError> {
    let mime_type =
        look(&engine, &account, |room| room.media.get(&media).map(|it| it.mime_type.clone()))?;
    let mime_type = mime_type.ok_or_else(|| ScriptError::unknown("file"))?;
    let bytes = engine.find_blob(&media).await.ok_or_else(|| ScriptError::unknown("file"))?;
    let headers = [
        (CONTENT_TYPE, mime_type.as_str()),
        (axum::http::header::CONTENT_SECURITY_POLICY, "sandbox"),
    ];
    Ok((headers, bytes).into_response())
}
