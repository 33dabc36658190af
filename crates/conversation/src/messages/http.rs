//! Room `conversation`: `/v1/conversations/{id}/messages` and `/v1/messages`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_channel::event::Status;
use misy_channel::{Content, Failure};
use misy_core::error::Fault;
use misy_core::{ChannelId, Code, ContactId, ConversationId, MessageId, Page, Timestamp};
use misy_web::{Paging, Params, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Attempt, AttemptState, AuthorKind, Citation, Direction, Draft, Message, Order};
use super::service::{self, To};
use crate::Deps;

/// The routes of messages.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, send))
        .routes(routes!(send_to))
        .routes(routes!(search))
        .routes(routes!(get))
        .with_state(deps)
}

/// Who wrote a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Author)]
struct AuthorView {
    kind: AuthorKind,
    /// The contact, user, API key or responder; `null` if the business wrote with another tool.
    #[schema(required = true)]
    id: Option<String>,
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
struct MessageView {
    id: MessageId,
    conversation_id: ConversationId,
    direction: Direction,
    channel_id: ChannelId,
    author: AuthorView,
    content: Content,
    #[schema(required = true)]
    reply_to: Option<MessageId>,
    status: Status,
    /// When it reached which status.
    #[schema(value_type = BTreeMap<String, String>)]
    status_at: BTreeMap<String, Timestamp>,
    /// The provider's id of it.
    #[schema(required = true)]
    external_id: Option<String>,
    /// Why it failed.
    #[schema(required = true)]
    failure: Option<Failure>,
    /// The knowledge that an answer was taken from.
    citations: Vec<Citation>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

fn view(message: Message) -> MessageView {
    MessageView {
        citations: message.citations(),
        id: message.id,
        conversation_id: message.conversation,
        direction: message.direction,
        channel_id: message.channel,
        author: AuthorView { kind: message.author.kind, id: message.author.id },
        content: message.content,
        reply_to: message.reply_to,
        status: message.status,
        status_at: message.status_at,
        external_id: message.external_id,
        failure: message.failure,
        created_at: message.created_at,
    }
}

/// One try to hand a message to its provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptView {
    state: AttemptState,
    #[schema(required = true)]
    failure: Option<Failure>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

/// A message with all tries to deliver it.
#[derive(Debug, Serialize, ToSchema)]
struct MessageWithAttempts {
    #[serde(flatten)]
    message: MessageView,
    attempts: Vec<AttemptView>,
}

fn attempt(attempt: Attempt) -> AttemptView {
    let Attempt { state, failure, started_at, ended_at } = attempt;
    AttemptView { state, failure, started_at, ended_at }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MessageOrder {
    /// Oldest first if not given.
    #[param(inline)]
    order: Option<Order>,
}

/// List a conversation's messages.
#[utoipa::path(get, path = "/v1/conversations/{conversation}/messages", tag = "messages",
    operation_id = "list_messages",
    params(("conversation" = ConversationId, Path), Paging, MessageOrder),
    responses((status = 200, body = Page<MessageView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(conversation): PathId<ConversationId>,
    paging: Paging,
    Params(wanted): Params<MessageOrder>,
) -> Result<Json<Page<MessageView>>, Problem> {
    let (order, cursor) = (wanted.order.unwrap_or_default(), paging.cursor);
    let page = service::list(&deps, &ctx, conversation, order, cursor, paging.limit).await?;
    Ok(Json(page.map(view)))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    #[garde(skip)]
    content: Content,
    /// The message of this conversation that it answers.
    #[garde(skip)]
    reply_to: Option<MessageId>,
}

/// Send a message in a conversation. It goes out by itself; what became of it, its status tells. A
/// text too long for one message of the channel goes out as several, of which the first is answered
/// here.
#[utoipa::path(post, path = "/v1/conversations/{conversation}/messages", tag = "messages",
    operation_id = "send_message", params(("conversation" = ConversationId, Path)),
    request_body = NewMessage, responses((status = 202, body = MessageView)))]
async fn send(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(conversation): PathId<ConversationId>,
    Valid(body): Valid<NewMessage>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let draft = Draft { content: body.content, reply_to: body.reply_to };
    let message = service::send(&deps, &ctx, conversation, &draft).await?;
    Ok((StatusCode::ACCEPTED, Json(view(message))))
}

/// An identity of a contact.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct IdentityName {
    /// `phone`, `email`, `visitor` or a provider's own user id.
    #[garde(skip)]
    #[schema(max_length = 100, example = "phone")]
    namespace: String,
    /// The value in normal form.
    #[garde(skip)]
    #[schema(max_length = 320, example = "+4915551234567")]
    value: String,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMessageTo {
    /// To whom; or name an identity.
    #[garde(skip)]
    contact_id: Option<ContactId>,
    /// An identity of the contact; or name the contact.
    #[garde(skip)]
    identity: Option<IdentityName>,
    #[garde(skip)]
    content: Content,
}

impl NewMessageTo {
    fn to(&mut self) -> Result<To, Problem> {
        match (self.contact_id, self.identity.take()) {
            (Some(contact), None) => Ok(To::Contact(contact)),
            (None, Some(IdentityName { namespace, value })) => {
                Ok(To::Identity { namespace, value })
            }
            _ => {
                let detail = "expected either `contact_id` or `identity`".to_owned();
                let fault = Fault { pointer: "/contact_id".to_owned(), detail };
                Err(Problem::new(Code::Invalid).with_faults(vec![fault]))
            }
        }
    }
}

/// Send a message to a contact, over the channel that it wrote over last.
#[utoipa::path(post, path = "/v1/messages", tag = "messages", operation_id = "send_message_to",
    request_body = NewMessageTo, responses((status = 202, body = MessageView)))]
async fn send_to(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(mut body): Valid<NewMessageTo>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let to = body.to()?;
    let draft = Draft { content: body.content, reply_to: None };
    let message = service::send_to(&deps, &ctx, &to, &draft).await?;
    Ok((StatusCode::ACCEPTED, Json(view(message))))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MessageSearch {
    /// Words that must all occur, as they are written; upper and lower case are one.
    #[param(min_length = 1, max_length = 200)]
    q: String,
}

/// Search the messages of all conversations, newest first. A page may be short, and even empty, and
/// still have a `next_cursor`: it then ends where the search stopped looking.
#[utoipa::path(get, path = "/v1/messages/search", tag = "messages",
    operation_id = "search_messages", params(MessageSearch, Paging),
    responses((status = 200, body = Page<MessageView>)))]
async fn search(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(wanted): Params<MessageSearch>,
) -> Result<Json<Page<MessageView>>, Problem> {
    let page = service::search(&deps, &ctx, &wanted.q, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(view)))
}

/// Read a message with all tries to deliver it.
#[utoipa::path(get, path = "/v1/messages/{message}", tag = "messages",
    operation_id = "get_message", params(("message" = MessageId, Path)),
    responses((status = 200, body = MessageWithAttempts)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<MessageId>,
) -> Result<Tagged<MessageWithAttempts>, Problem> {
    let (message, attempts) = service::get(&deps, &ctx, id).await?;
    let version = message.version;
    let attempts = attempts.into_iter().map(attempt).collect();
    Ok(Tagged::new(version, MessageWithAttempts { message: view(message), attempts }))
}
