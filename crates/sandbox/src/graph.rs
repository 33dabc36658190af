//! Room `sandbox`: the Graph side: what Meta's API looks like from outside. Routes, who is calling,
//! and what every answer carries.

pub(crate) mod checks;
pub(crate) mod errors;
pub(crate) mod interactive;
pub(crate) mod media;
pub(crate) mod messages;
pub(crate) mod objects;
pub(crate) mod params;
pub(crate) mod templates;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::limiters::HourlyCount;
use crate::names;
use crate::world::{Room, World};
use errors::GraphError;

/// Bytes of a request that is not an upload.
const BODY_MAX_BYTES: usize = 1 << 20;
/// Bytes of an upload with what multipart adds.
const UPLOAD_MAX_BYTES: usize = (101 << 20) + BODY_MAX_BYTES;

/// All routes of the Graph side.
pub(crate) fn router(engine: &Arc<Engine>) -> Router<Arc<Engine>> {
    let templates = get(objects::list_templates).post(objects::create_template);
    let subscriptions =
        get(objects::show_apps).post(objects::subscribe).delete(objects::unsubscribe);
    let object = get(objects::show).post(objects::configure).delete(objects::delete);
    let upload = post(objects::upload).layer(DefaultBodyLimit::max(UPLOAD_MAX_BYTES));
    Router::new()
        .route("/{version}/debug_token", get(objects::debug_token))
        .route("/{version}/{object}", object)
        .route("/{version}/{object}/messages", post(messages::send))
        .route("/{version}/{object}/media", upload)
        .route("/{version}/{object}/subscribed_apps", subscriptions)
        .route("/{version}/{object}/message_templates", templates)
        .route("/{version}/{object}/phone_numbers", get(objects::list_numbers))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_path)
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(from_fn_with_state(Arc::clone(engine), dress))
        .route("/whatsapp_business/attachments/", get(objects::download))
}

/// Whatever is not a route.
async fn unknown_path(uri: Uri) -> GraphError {
    GraphError::unknown_path(uri.path())
}

/// What an object of a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// The business phone number itself.
    Number,
    /// Its WhatsApp business account.
    Waba,
    /// One of its files.
    Media(String),
}

/// The account whose token a request carries, and the object that it is about.
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) object: Object,
    method: String,
    name: String,
}

impl Caller {
    /// The account, if the object is of the wanted sort.
    pub(crate) fn about(&self, wanted: &Object) -> Result<&str, GraphError> {
        if self.object == *wanted { Ok(&self.account) } else { Err(self.unknown()) }
    }

    /// The object does not support this.
    pub(crate) fn unknown(&self) -> GraphError {
        GraphError::unknown_object(&self.method, &self.name)
    }
}

impl FromRequestParts<Arc<Engine>> for Caller {
    type Rejection = GraphError;

    async fn from_request_parts(
        parts: &mut Parts,
        engine: &Arc<Engine>,
    ) -> Result<Self, GraphError> {
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, engine).await;
        let name = path.ok().and_then(|Path(mut path)| path.remove("object")).unwrap_or_default();
        let token = token_of(&parts.headers, &parts.uri).ok_or_else(GraphError::no_token)?;
        let sends = parts.uri.path().ends_with("/messages");
        let method = parts.method.to_string();
        let now = engine.ambient.now();
        let unknown = || GraphError::unknown_object(&method, &name);
        let (account, object) = engine.touch(|world| {
            check_token(world, &token, now)?;
            let (account, object) = resolve(world, &token, &name).ok_or_else(unknown)?;
            let room = world.find_mut(&account).ok_or_else(unknown)?;
            if !sends {
                count_management(room, now)?;
            }
            Ok::<_, GraphError>((account, object))
        })?;
        Ok(Self { account, object, method, name })
    }
}

/// The token of a request: `Authorization: Bearer`, or the query's `access_token`.
pub(crate) fn token_of(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let from_query = || {
        let Query(query) = Query::<HashMap<String, String>>::try_from_uri(uri).ok()?;
        query.get("access_token").cloned()
    };
    bearer.or_else(from_query).filter(|token| !token.is_empty())
}

/// The token is one that was given out, and its time is not over.
pub(crate) fn check_token(
    world: &World,
    token: &str,
    now: misy_core::Timestamp,
) -> Result<(), GraphError> {
    let mut owners = world.rooms().filter(|room| room.account.access_token == token);
    let owner = owners.next().ok_or_else(GraphError::bad_token)?;
    let expires_at = owner.account.behaviour.token_expires_at;
    match expires_at.filter(|at| *at <= now) {
        Some(expired_at) => Err(GraphError::expired_token(expired_at)),
        None => Ok(()),
    }
}

/// The account and the sort of object that a name stands for, among what the token may see.
fn resolve(world: &World, token: &str, name: &str) -> Option<(String, Object)> {
    let mut owned = world.rooms().filter(|room| room.account.access_token == token);
    owned.find_map(|room| {
        let account = &room.account;
        let object = match name {
            name if name == account.phone_number_id => Object::Number,
            name if name == account.waba_id => Object::Waba,
            name if room.media.contains_key(name) => Object::Media(name.to_owned()),
            _ => return None,
        };
        Some((account.phone_number_id.clone(), object))
    })
}

/// Calls that do not send have a budget of their own, per account.
fn count_management(room: &mut Room, now: misy_core::Timestamp) -> Result<(), GraphError> {
    let most = room.account.behaviour.management_per_hour;
    let calls = room.limits.management.get_or_insert_with(|| HourlyCount::new(now)).count(now);
    if most > 0 && calls > most {
        let details = "The WhatsApp Business Account has reached its rate limit.";
        return Err(GraphError::messaging(80_007, details));
    }
    Ok(())
}

/// Gives every answer of the Graph side its headers, a trace id, and the wanted delay.
async fn dress(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    let version = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
    let token = token_of(request.headers(), request.uri());
    let found = engine.read(|world| {
        let mut rooms = world.rooms();
        let room = rooms.find(|room| Some(&room.account.access_token) == token.as_ref())?;
        Some((room.account.behaviour.latency_ms, usage(room)))
    });
    let (latency_ms, usage) = found.unzip();
    let latency_ms = latency_ms.unwrap_or(0);
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    let response = if is_version(&version) {
        next.run(request).await
    } else {
        GraphError::unknown_path(request.uri().path()).into_response()
    };
    let trace_id = names::trace_id(&engine.ambient);
    let mut response = put_trace_id(response, &trace_id);
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set("facebook-api-version", &version);
    set("x-fb-trace-id", &trace_id);
    if let Some((app, business)) = usage {
        set("x-app-usage", &app);
        set("x-business-use-case-usage", &business);
    }
    response
}

/// `v25.0`; which one makes no difference here.
fn is_version(text: &str) -> bool {
    let numbers = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    numbers
        .is_some_and(|(major, minor)| major.parse::<u16>().is_ok() && minor.parse::<u16>().is_ok())
}

/// Errors are made where no randomness is at hand; their trace id comes last.
fn put_trace_id(response: Response, trace_id: &str) -> Response {
    let Some(error) = response.extensions().get::<GraphError>() else { return response };
    let body = Json(error.body(trace_id)).into_response().into_body();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::new(body))
}

/// The usage headers: the share of the hour's calls that is spent, in percent.
fn usage(room: &Room) -> (String, String) {
    let behaviour = &room.account.behaviour;
    let calls = room.limits.management.map_or(0, |count| count.calls());
    let share = match behaviour.management_per_hour {
        0 => 0,
        most => (u64::from(calls) * 100 / u64::from(most)).min(100),
    };
    let app = json!({"call_count": share, "total_cputime": share / 4, "total_time": share / 4});
    let mut case: Value = app.clone();
    case["type"] = "whatsapp".into();
    case["estimated_time_to_regain_access"] = json!(if share >= 100 { 60 } else { 0 });
    let business = json!({&room.account.waba_id: [case]});
    (app.to_string(), business.to_string())
}
