//! Room `sandbox`: sinks over HTTP: where deliveries come in, and where a person or a test looks at
//! them and says what the next answers shall be.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BODY_KEPT, Behaviour, KEPT, Request, Sink, answers, signatures};
use crate::engine::Engine;
use crate::script::{ScriptError, merge};

/// Bytes of a delivery at most.
const BODY_MAX_BYTES: usize = 8 << 20;

type Answer = Result<Json<Value>, ScriptError>;

/// Where deliveries come in, and the script API of sinks.
pub(crate) fn router() -> Router<Arc<Engine>> {
    Router::new()
        .route("/sink/{sink}", any(take))
        .route("/sink/{sink}/{*rest}", any(take))
        .route("/sandbox/sinks", get(list))
        .route("/sandbox/sinks/{sink}", get(show).patch(behave).delete(forget))
        .route("/sandbox/sinks/{sink}/requests", get(requests))
        .route("/sandbox/sinks/{sink}/ids", get(ids))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
}

/// The name is the first part of the path; what comes behind it is shown and means nothing.
async fn take(
    State(engine): State<Arc<Engine>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let name = uri.path().split('/').nth(2).unwrap_or_default();
    let (now, id) = (engine.ambient.now(), headers.get("webhook-id").cloned());
    let id = id.and_then(|id| Some(id.to_str().ok()?.to_owned()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    let lines: Vec<_> = lines.collect();
    let taken = engine.sinks.with(name, |sink| {
        let signature = signatures::check(&sink.behaviour.secrets, &headers, &body, now);
        let request = Request {
            serial: 0,
            at: now,
            method: method.to_string(),
            path: uri.to_string(),
            headers: lines,
            body: text(&body[..body.len().min(BODY_KEPT)]),
            signature,
            answered: None,
        };
        sink.take(request, id)
    });
    match taken {
        Some(behaviour) => answers::answer(behaviour, &body).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn describe(name: &str, sink: &Sink) -> Value {
    json!({
        "name": name, "path": format!("/sink/{name}"), "behaviour": sink.behaviour,
        "received": sink.received, "genuine": sink.genuine, "refused": sink.refused,
        "ids": sink.ids.len(),
    })
}

fn unknown() -> ScriptError {
    ScriptError::unknown("sink")
}

async fn list(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let names = engine.sinks.names();
    let all = names.iter().filter_map(|name| engine.sinks.look(name, |it| describe(name, it)));
    Json(json!({ "data": all.collect::<Vec<_>>() }))
}

async fn show(State(engine): State<Arc<Engine>>, Path(name): Path<String>) -> Answer {
    engine.sinks.look(&name, |sink| Json(describe(&name, sink))).ok_or_else(unknown)
}

/// What is named changes, `null` gives the default.
async fn behave(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Json(patch): Json<Value>,
) -> Answer {
    let changed = engine.sinks.with(&name, |sink| {
        let wanted: Behaviour = merge(&sink.behaviour, patch)?;
        if !(200..=599).contains(&wanted.status) {
            return Err(ScriptError::wrong("status must be between 200 and 599"));
        }
        sink.behaviour = wanted;
        Ok(Json(describe(&name, sink)))
    });
    changed.ok_or_else(unknown)?
}

async fn forget(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
) -> Result<StatusCode, ScriptError> {
    if engine.sinks.forget(&name) { Ok(StatusCode::NO_CONTENT) } else { Err(unknown()) }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Page {
    /// Only those behind this serial.
    after: u64,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: 0, limit: KEPT }
    }
}

async fn requests(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let found = engine.sinks.look(&name, |sink| {
        let behind = sink.requests.iter().filter(|request| request.serial > page.after);
        let data: Vec<_> = behind.take(page.limit).cloned().collect();
        Json(json!({ "data": data }))
    });
    found.ok_or_else(unknown)
}

/// Of everything that was taken with 2xx.
async fn ids(State(engine): State<Arc<Engine>>, Path(name): Path<String>) -> Answer {
    let ids = engine.sinks.look(&name, |sink| sink.ids.clone()).ok_or_else(unknown)?;
    Ok(Json(json!({ "data": ids })))
}
