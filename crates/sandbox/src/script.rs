//! Room `sandbox`: the script API: everything a person or a test does that is not the business: to
//! be a customer, to look at a phone, to turn the emulated Meta's moods. The table is in `docs.md`.

pub(crate) mod accounts;
pub(crate) mod chats;
pub(crate) mod says;

use std::io;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::names;

/// Bytes of a script's request: a batch of ten thousand messages, or a file in base64.
const BODY_MAX_BYTES: usize = 160 << 20;

/// All routes of the script API.
pub(crate) fn router() -> Router<Arc<Engine>> {
    let account = "/sandbox/accounts/{account}";
    let of = |rest: &str| format!("{account}{rest}");
    Router::new()
        .route("/sandbox/accounts", get(accounts::list).post(accounts::create))
        .route(account, get(accounts::show))
        .route(&of("/webhook"), put(accounts::set_webhook).delete(accounts::drop_webhook))
        .route(&of("/behaviour"), get(accounts::behaviour).merge(patch(accounts::set_behaviour)))
        .route(&of("/stats"), get(accounts::stats))
        .route(&of("/deliveries"), get(accounts::deliveries))
        .route(&of("/raw"), post(accounts::deliver_raw))
        .route(&of("/messages"), post(says::say))
        .route(&of("/outbound"), get(chats::outbound))
        .route(&of("/media/{media}"), get(chats::media))
        .route(&of("/phones"), get(chats::list))
        .route(&of("/phones/{phone}"), get(chats::show).patch(chats::edit))
        .route(&of("/phones/{phone}/window"), post(chats::set_window))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
}

/// An answer of the script API that is not a success.
#[derive(Debug)]
pub(crate) struct ScriptError {
    status: StatusCode,
    message: String,
}

impl ScriptError {
    /// There is no such thing.
    pub(crate) fn unknown(what: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("there is no such {what}") }
    }

    /// The request is understood and cannot be done.
    pub(crate) fn wrong(message: impl std::fmt::Display) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: message.to_string() }
    }
}

impl From<io::Error> for ScriptError {
    fn from(error: io::Error) -> Self {
        let status = match error.kind() {
            io::ErrorKind::AlreadyExists => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

impl IntoResponse for ScriptError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": {"message": self.message}}))).into_response()
    }
}

/// A behaviour with what a patch names changed; `null` gives the default.
pub(crate) fn merge<T: Serialize + DeserializeOwned>(
    now: &T,
    patch: Value,
) -> Result<T, ScriptError> {
    let mut merged = serde_json::to_value(now).map_err(ScriptError::wrong)?;
    let (Some(all), Value::Object(changes)) = (merged.as_object_mut(), patch) else {
        return Err(ScriptError::wrong("a JSON object is expected"));
    };
    for (key, value) in changes {
        match value {
            Value::Null => drop(all.remove(&key)),
            value => drop(all.insert(key, value)),
        }
    }
    serde_json::from_value(merged).map_err(ScriptError::wrong)
}

/// The name of a chat as a script writes it: a phone number in any spelling, or a user id.
pub(crate) fn chat_name(text: &str) -> Result<String, ScriptError> {
    if names::is_user_id(text) {
        return Ok(text.to_owned());
    }
    let wrong =
        || ScriptError::wrong(format_args!("`{text}` is neither a phone number nor a user id"));
    names::phone_digits(text).ok_or_else(wrong)
}
