//! Room `sandbox`: `POST /{version}/{phone_number_id}/messages`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use misy_core::Timestamp;
use serde_json::{Map, Value, json};

use super::checks::{self, Outgoing, Recipient, Request, Scene};
use super::errors::GraphError;
use super::{Caller, Object};
use crate::engine::{Engine, fresh_phone};
use crate::limiters::Bucket;
use crate::model::{Direction, Message, Phone};
use crate::server::LoseAnswer;
use crate::world::{Record, Room};
use crate::{names, wire};

/// How long the business is shown as typing, seconds.
const TYPING_S: i64 = 25;
/// How long an answer waits for the status that is to come before it.
const EARLY_STATUS_PATIENCE: Duration = Duration::from_secs(5);

impl From<io::Error> for GraphError {
    fn from(error: io::Error) -> Self {
        tracing::error!(%error, "the sandbox could not write its journal");
        Self::broken()
    }
}

/// What came of a request.
enum Done {
    Read,
    Sent { id: String, answer: Value, lost: bool, early_status: bool },
}

/// Takes a message, or a read mark.
pub(crate) async fn send(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, GraphError> {
    let account = caller.about(&Object::Number)?;
    let body = parse(&headers, &body)?;
    let now = engine.ambient.now();
    let done = engine.change(|world| {
        let room = world.find_mut(account).ok_or_else(|| caller.unknown())?;
        let done = decide(room, &body, now, &engine);
        room.counters.refused += u64::from(done.is_err());
        done
    })?;
    match done {
        Done::Read => Ok(Json(json!({"success": true})).into_response()),
        Done::Sent { id, answer, lost, early_status } => {
            finish(&engine, account, &id, early_status).await;
            let mut response = Json(answer).into_response();
            if lost {
                response.extensions_mut().insert(LoseAnswer);
            }
            Ok(response)
        }
    }
}

/// Reads a body in JSON, or as a form whose values may be JSON, as the Graph API takes both.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Value, GraphError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(body);
        let object: Map<String, Value> = pairs
            .map(|(key, text)| {
                let value = serde_json::from_str(&text).ok().filter(Value::is_object);
                (key.into_owned(), value.unwrap_or_else(|| text.into_owned().into()))
            })
            .collect();
        return Ok(Value::Object(object));
    }
    let broken = |error: serde_json::Error| {
        GraphError::messaging(100, format!("The request body is not valid JSON: {error}"))
    };
    serde_json::from_slice(body).map_err(broken)
}

/// Everything is decided here, under the lock: refused, or accepted with its records.
fn decide(
    room: &mut Room,
    body: &Value,
    now: Timestamp,
    engine: &Engine,
) -> Result<(Vec<Record>, Done), GraphError> {
    let account = room.account.phone_number_id.clone();
    let mut outgoing = match checks::check(body, Scene { room, now })? {
        Request::Send(outgoing) => outgoing,
        Request::Read { message_id: id, typing } => {
            let until = Timestamp::from_second(now.as_second() + TYPING_S).unwrap_or(now);
            let typing_until = typing.then_some(until);
            return Ok((vec![Record::Read { account, id, typing_until }], Done::Read));
        }
    };
    let mut records = Vec::new();
    if let Some(code) = take_ordered_failure(room, &mut records) {
        match code {
            (code, true) => outgoing.fate = Some(code),
            (code, false) => return refuse(room, records, GraphError::ordered(code)),
        }
    }
    let (phone, is_new) = find_recipient(room, &outgoing)?;
    spend(room, &phone.chat, now)?;
    outgoing.fate = outgoing.fate.or_else(|| fate(&phone, &outgoing.kind, now));
    let lost = take_lost_answer(room, &mut records);
    let id = names::wamid(&engine.ambient, &phone.chat, Direction::Out);
    let answer = answer(&outgoing, &phone, &id);
    if is_new {
        records.push(Record::Phone { account: account.clone(), phone: phone.clone() });
    }
    let message = Message {
        id: id.clone(),
        chat: phone.chat,
        direction: Direction::Out,
        at: now,
        kind: outgoing.kind,
        payload: wire::raw(body),
        statuses: std::collections::BTreeMap::default(),
        fate: outgoing.fate,
        opaque: outgoing.opaque,
        category: outgoing.category,
        read: false,
    };
    records.push(Record::Message { account, message: Box::new(message), hook: None });
    let early_status = room.account.behaviour.status_before_response;
    Ok((records, Done::Sent { id, answer, lost, early_status }))
}

/// An ordered refusal changes what is left of the order. That is not journalled: a restart may
/// repeat a refusal, which nobody can tell from another.
fn refuse(
    room: &mut Room,
    records: Vec<Record>,
    error: GraphError,
) -> Result<(Vec<Record>, Done), GraphError> {
    for record in records {
        if let Record::Account(account) = record {
            room.account = *account;
        }
    }
    Err(error)
}

/// The code that the next message is ordered to fail with, and whether only afterwards.
fn take_ordered_failure(room: &mut Room, records: &mut Vec<Record>) -> Option<(u32, bool)> {
    let mut account = room.account.clone();
    let order = account.behaviour.fail_next.as_mut()?;
    let code = (order.code, order.asynchronous);
    order.times = order.times.saturating_sub(1);
    if order.times == 0 {
        account.behaviour.fail_next = None;
    }
    records.push(Record::Account(Box::new(account)));
    Some(code)
}

/// Counts down the answers that are to be lost. This is journalled: a lost answer must not be lost
/// twice.
fn take_lost_answer(room: &Room, records: &mut Vec<Record>) -> bool {
    if room.account.behaviour.lose_response == 0 {
        return false;
    }
    let pending = records.iter().find_map(|record| match record {
        Record::Account(account) => Some(account.as_ref().clone()),
        _ => None,
    });
    let mut account = pending.unwrap_or_else(|| room.account.clone());
    account.behaviour.lose_response -= 1;
    records.push(Record::Account(Box::new(account)));
    true
}

/// The recipient's phone, and whether it is met for the first time.
fn find_recipient(room: &Room, outgoing: &Outgoing) -> Result<(Phone, bool), GraphError> {
    let known = match &outgoing.recipient {
        Recipient::Phone { digits, .. } => room.find_phone(digits),
        Recipient::User(id) => room.find_phone(id),
    };
    match (&outgoing.recipient, known) {
        (_, Some(phone)) => Ok((phone.clone(), false)),
        (Recipient::Phone { digits, .. }, None) => Ok((fresh_phone(&room.account, digits), true)),
        (Recipient::User(_), None) => {
            Err(GraphError::messaging(131_026, "No user of this business has this user ID."))
        }
    }
}

/// Takes what the message costs from the limits of the number and of the pair.
fn spend(room: &mut Room, chat: &str, now: Timestamp) -> Result<(), GraphError> {
    /// One message every six seconds, over time.
    const PAIR_PER_SECOND: f64 = 1.0 / 6.0;
    let behaviour = &room.account.behaviour;
    let (mps, burst) = (behaviour.mps, behaviour.pair_burst);
    let limits = &mut room.limits;
    if mps > 0 {
        let bucket = limits.throughput.get_or_insert_with(|| Bucket::full(mps, now));
        if !bucket.take(mps, f64::from(mps), now) {
            let details = "Message failed to send because there were too many messages sent from \
                           this phone number in a short period of time";
            return Err(GraphError::messaging(130_429, details));
        }
    }
    if burst > 0 {
        let bucket = limits.pairs.entry(chat.to_owned());
        let bucket = bucket.or_insert_with(|| Bucket::full(burst, now));
        if !bucket.take(burst, PAIR_PER_SECOND, now) {
            let details = "Message failed to send because there were too many messages sent from \
                           this phone number to the same phone number in a short period of time.";
            return Err(GraphError::messaging(131_056, details));
        }
    }
    Ok(())
}

/// What will become of a message that Meta accepts although it cannot be delivered.
fn fate(phone: &Phone, kind: &str, now: Timestamp) -> Option<u32> {
    if !phone.on_whatsapp {
        return Some(131_026);
    }
    let needs_window = kind != "template";
    (needs_window && !phone.is_window_open(now)).then_some(131_047)
}

/// Meta's answer to an accepted message.
fn answer(outgoing: &Outgoing, phone: &Phone, id: &str) -> Value {
    let contact = match &outgoing.recipient {
        Recipient::Phone { input, digits } => {
            json!({"input": input, "wa_id": digits, "user_id": phone.user_id})
        }
        Recipient::User(user) => json!({"input": user, "user_id": user}),
    };
    json!({
        "messaging_product": "whatsapp",
        "contacts": [contact],
        "messages": [{"id": id, "message_status": "accepted"}],
    })
}

/// Lets the statuses come; the first of them before the answer, if that is wanted.
async fn finish(engine: &Engine, account: &str, id: &str, early_status: bool) {
    if !early_status {
        engine.timeline.schedule(account, id, Duration::ZERO);
        return;
    }
    let pause = engine.advance(account, id).ok().flatten();
    let newest = engine.read(|world| world.find(account).map_or(1, Room::next_hook)) - 1;
    let is_pending = || {
        engine.read(|world| world.find(account).is_some_and(|room| room.outbox.contains(newest)))
    };
    let told = async {
        loop {
            let settled = engine.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if !is_pending() {
                return;
            }
            settled.await;
        }
    };
    let _ = tokio::time::timeout(EARLY_STATUS_PATIENCE, told).await;
    engine.timeline.schedule(account, id, pause.unwrap_or_default());
}
