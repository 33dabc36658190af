//! Room `conversation`: `/widget/{site_id}/...`, what pages with a chat call, and a page that does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use misy_channel::Content;
use misy_channel::content::{Buttons, Choice};
use misy_core::{Code, Cursor, MessageId, Page, Timestamp};
use misy_web::{
    CallingPage, Claimed, Class, Held, Hook, Meter, Paging, Params, Problem, Traits, Valid,
    hash_source,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Visitor;
use super::service::{self, Caller};
use crate::Deps;
use crate::messages::{AuthorKind, Message};

/// More than anybody types.
const BODY_MAX_BYTES: usize = 32 << 10;

/// How long a request may wait for something to be said, in seconds.
const WAIT_MAX_S: u8 = 10;

/// How often is looked whether something was said.
const LOOK_EVERY: Duration = Duration::from_millis(400);

const PAGE: &str = include_str!("../../assets/chat.html");
const STYLE: &str = include_str!("../../assets/chat.css");
const SCRIPT: &str = include_str!("../../assets/chat.js");

const TRAITS: Traits = Traits::new().class(Class::Widget).body_limit_bytes(BODY_MAX_BYTES);

/// The routes of visitors.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(misy_web::with(routes!(begin), TRAITS))
        .routes(misy_web::with(routes!(hear, say), TRAITS))
        .routes(misy_web::with(routes!(see), TRAITS))
        .routes(misy_web::with(routes!(frame), TRAITS.any_query()))
        .with_state(deps)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let page = CallingPage::from_request_parts(parts, state).await?;
        let Claimed(claim) = Claimed::from_request_parts(parts, state).await?;
        let Held(token) = Held::from_request_parts(parts, state).await?;
        Ok(Self { claim, page, token })
    }
}

/// A visitor's session. Its token is a secret of the visitor's browser.
#[derive(Debug, Serialize, ToSchema)]
struct VisitorSession {
    /// To be sent as `Authorization: Bearer`.
    visitor_token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// What the page may call itself.
    #[schema(required = true)]
    title: Option<String>,
    /// What the page may say before anybody has said anything.
    #[schema(required = true)]
    greeting: Option<String>,
}

/// Begin a visitor's session, or go on with the one whose token is sent.
#[utoipa::path(post, path = "/widget/{site_id}/sessions", tag = "widget", security(()),
    params(("site_id" = String, Path, description = "The tenant's `site_id`.")),
    responses((status = 201, body = VisitorSession, description = "Begun."),
        (status = 200, body = VisitorSession, description = "Continued."),
        (status = 401, description = "The token is of another site or has expired."),
        (status = 403, description = "The page is not one of the tenant's."),
        (status = 404)))]
async fn begin(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(site_id): Path<String>,
    caller: Caller,
) -> Result<(StatusCode, Json<VisitorSession>), Problem> {
    let session = service::begin(&deps, &ctx, &site_id, &caller).await?;
    let status = if session.continued { StatusCode::OK } else { StatusCode::CREATED };
    let shown = VisitorSession {
        visitor_token: session.token.expose().to_owned(),
        expires_at: session.expires_at,
        title: session.title,
        greeting: session.greeting,
    };
    Ok((status, Json(shown)))
}

/// What a visitor says.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct SaidBody {
    /// Chosen by the page, another one for each message: sent again, it changes nothing.
    #[garde(length(min = 1, max = 64), custom(must(is_plain, "has other characters")))]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    id: String,
    /// The text, or the title of the button that was pressed.
    #[garde(length(chars, min = 1, max = 4000), custom(must(is_said, "is blank")))]
    #[schema(min_length = 1, max_length = 4000, example = "What are your opening hours?")]
    text: String,
    /// The id of the button that was pressed.
    #[garde(inner(length(chars, min = 1, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    button_id: Option<String>,
}

fn is_plain(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_said(text: &str) -> bool {
    !text.trim().is_empty()
}

/// A rule as the validator takes it.
fn must(
    hold: fn(&str) -> bool,
    otherwise: &'static str,
) -> impl FnOnce(&str, &()) -> garde::Result {
    move |text, ()| if hold(text) { Ok(()) } else { Err(garde::Error::new(otherwise)) }
}

impl SaidBody {
    fn content(&self) -> Content {
        let Some(id) = &self.button_id else { return Content::text(self.text.clone()) };
        let pressed = Choice { id: id.clone(), title: self.text.clone(), description: None };
        Content::Buttons(Buttons {
            text: self.text.clone(),
            pressed: Some(pressed),
            ..Buttons::default()
        })
    }
}

/// That a visitor's message is kept.
#[derive(Debug, Serialize, ToSchema)]
struct SaidReceipt {
    /// As the page chose it.
    id: String,
}

/// Say something as a visitor. It is kept when this is answered, and taken in after that.
#[utoipa::path(post, path = "/widget/{site_id}/messages", tag = "widget", security(()),
    params(("site_id" = String, Path, description = "The tenant's `site_id`.")),
    request_body = SaidBody,
    responses((status = 202, body = SaidReceipt), (status = 401), (status = 403), (status = 404)))]
async fn say(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(site_id): Path<String>,
    caller: Caller,
    meter: Meter,
    Valid(body): Valid<SaidBody>,
) -> Result<(StatusCode, Json<SaidReceipt>), Problem> {
    let visitor = service::recognise(&deps, &ctx, &site_id, &caller).await?;
    meter.take(visitor.route.tenant, visitor.id)?;
    let _first = deps.db.precedence().go_first();
    service::say(&deps, &ctx, &visitor, &body.id, &body.content()).await?;
    Ok((StatusCode::ACCEPTED, Json(SaidReceipt { id: body.id })))
}

/// A message as its visitor is shown it.
#[derive(Debug, Serialize, ToSchema)]
struct VisitorMessage {
    id: MessageId,
    /// What the page called it, of the visitor's own messages.
    #[schema(required = true)]
    client_id: Option<String>,
    /// `contact` is the visitor, `agent` a program that answers, `user` a person.
    author: AuthorKind,
    content: Content,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

fn view(visitor: &Visitor, message: Message) -> VisitorMessage {
    let external_id = message.external_id.as_deref();
    VisitorMessage {
        id: message.id,
        client_id: external_id.and_then(|id| visitor.client_id(id)),
        author: message.author.kind,
        content: message.content,
        created_at: message.created_at,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Patience {
    /// For how many seconds the answer may be held back until there is something to tell.
    #[param(minimum = 0, maximum = 10, default = 0)]
    wait_s: Option<u8>,
}

impl Patience {
    fn duration(&self) -> Result<Duration, Problem> {
        match self.wait_s.unwrap_or(0) {
            seconds @ 0..=WAIT_MAX_S => Ok(Duration::from_secs(seconds.into())),
            _ => Err(Problem::new(Code::Invalid).with_detail("`wait_s` has to be 0 to 10.")),
        }
    }
}

/// Read one's own conversation as a visitor: the latest messages, or with `cursor` those since,
/// oldest first. `next_cursor` is where to go on, also when nothing is left; it is `null` while
/// nothing was said. An answer may repeat a message that was not fetched in its time; ids tell.
#[utoipa::path(get, path = "/widget/{site_id}/messages", tag = "widget", security(()),
    params(("site_id" = String, Path, description = "The tenant's `site_id`."), Paging, Patience),
    responses((status = 200, body = Page<VisitorMessage>), (status = 401), (status = 403),
        (status = 404)))]
async fn hear(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(site_id): Path<String>,
    caller: Caller,
    meter: Meter,
    paging: Paging,
    Params(patience): Params<Patience>,
) -> Result<Json<Page<VisitorMessage>>, Problem> {
    let patience = patience.duration()?;
    let visitor = service::recognise(&deps, &ctx, &site_id, &caller).await?;
    meter.take(visitor.route.tenant, visitor.id)?;
    let heard = listen(&deps, &visitor, &paging, patience).await?;
    let last = heard.last().map(|message| Cursor(misy_core::id::TypedId::uuid(message.id)));
    let next = last.into_iter().chain(paging.cursor).max_by_key(|cursor| cursor.0);
    let data = heard.into_iter().map(|message| view(&visitor, message)).collect();
    Ok(Json(Page { data, next_cursor: next.map(Cursor::encode) }))
}

/// Looks again and again, for as long as there is patience and a seat to wait in. Nothing is held
/// between two looks.
async fn listen(
    deps: &Deps,
    visitor: &Visitor,
    paging: &Paging,
    patience: Duration,
) -> Result<Vec<Message>, Problem> {
    let begun = Instant::now();
    let seat = if patience.is_zero() { None } else { deps.seats.take() };
    loop {
        let heard = service::hear(deps, visitor, paging.cursor, paging.limit).await?;
        let left = patience.saturating_sub(begun.elapsed());
        if !heard.is_empty() || seat.is_none() || left.is_zero() {
            return Ok(heard);
        }
        tokio::time::sleep(LOOK_EVERY.min(left)).await;
    }
}

/// What a visitor has seen.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct SeenBody {
    /// The last message that was shown; those before it were seen too.
    #[garde(skip)]
    message_id: MessageId,
}

/// Say as a visitor that everything up to a message was seen.
#[utoipa::path(post, path = "/widget/{site_id}/read", tag = "widget", security(()),
    params(("site_id" = String, Path, description = "The tenant's `site_id`.")),
    request_body = SeenBody,
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
async fn see(
    State(deps): State<Arc<Deps>>,
    Hook(ctx): Hook,
    Path(site_id): Path<String>,
    caller: Caller,
    meter: Meter,
    Valid(body): Valid<SeenBody>,
) -> Result<StatusCode, Problem> {
    let visitor = service::recognise(&deps, &ctx, &site_id, &caller).await?;
    meter.take(visitor.route.tenant, visitor.id)?;
    service::see(&deps, &visitor, body.message_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page with the chat, to be shown by itself or in a frame of the tenant's allowed origins. It is
/// the same for every site, known or not: it holds nothing of anybody's.
#[utoipa::path(get, path = "/widget/{site_id}/frame", tag = "widget", security(()),
    params(("site_id" = String, Path, description = "The tenant's `site_id`.")),
    responses((status = 200, body = String, content_type = "text/html")))]
async fn frame(
    State(deps): State<Arc<Deps>>,
    Path(site_id): Path<String>,
) -> Result<Response, Problem> {
    let origins = service::embedders(&deps, &site_id).await?.join(" ");
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self' {origins}",
        hash_source(SCRIPT),
        hash_source(STYLE)
    );
    // Origins were checked when they were entered; one that no header can hold allows nobody.
    let fixed = HeaderValue::from_static;
    let policy =
        HeaderValue::try_from(policy).unwrap_or_else(|_| fixed("default-src 'none'; sandbox"));
    let headers = [
        (CONTENT_TYPE, fixed("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, fixed("no-cache")),
        (HeaderName::from_static("cross-origin-resource-policy"), fixed("cross-origin")),
    ];
    let page = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    Ok((headers, page).into_response())
}
