//! Room `conversation`: `/v1/conversations`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use garde::Validate;
use misy_core::{ChannelId, ContactId, ConversationId, Page, Timestamp, UserId};
use misy_web::{IfMatch, MergePatch, Paging, Params, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Change, Conversation, Filter, Status};
use super::service;
use crate::Deps;

/// The routes of conversations.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, change))
        .routes(routes!(assign))
        .with_state(deps)
}

/// A conversation with a contact.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Conversation)]
struct ConversationView {
    id: ConversationId,
    contact_id: ContactId,
    /// The channel account over which answers go.
    channel_id: ChannelId,
    status: Status,
    #[schema(required = true)]
    assignee_id: Option<UserId>,
    /// Since when the customer waits for a person.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    handed_over_at: Option<Timestamp>,
    /// Since when a person leads the conversation.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    taken_over_at: Option<Timestamp>,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    last_inbound_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    last_message_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn view(one: Conversation) -> ConversationView {
    ConversationView {
        id: one.id,
        contact_id: one.contact,
        channel_id: one.channel,
        status: one.status,
        assignee_id: one.assignee,
        handed_over_at: one.handed_over_at,
        taken_over_at: one.taken_over_at,
        last_inbound_at: one.last_inbound_at,
        last_message_at: one.last_message_at,
        created_at: one.created_at,
        updated_at: one.updated_at,
    }
}

fn tagged(one: Conversation) -> Tagged<ConversationView> {
    Tagged::new(one.version, view(one))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ConversationFilter {
    /// Only conversations that stand here.
    #[param(inline)]
    status: Option<Status>,
    /// Only conversations with this contact.
    #[param(value_type = Option<String>)]
    contact_id: Option<ContactId>,
    /// Only conversations over this channel account.
    #[param(value_type = Option<String>)]
    channel_id: Option<ChannelId>,
    /// Only conversations that this person looks after.
    #[param(value_type = Option<String>)]
    assignee_id: Option<UserId>,
}

/// List conversations, newest first.
#[utoipa::path(get, path = "/v1/conversations", tag = "conversations",
    operation_id = "list_conversations", params(Paging, ConversationFilter),
    responses((status = 200, body = Page<ConversationView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(wanted): Params<ConversationFilter>,
) -> Result<Json<Page<ConversationView>>, Problem> {
    let filter = Filter {
        status: wanted.status,
        contact: wanted.contact_id,
        channel: wanted.channel_id,
        assignee: wanted.assignee_id,
    };
    let page = service::list(&deps, &ctx, &filter, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(view)))
}

/// Read a conversation.
#[utoipa::path(get, path = "/v1/conversations/{conversation}", tag = "conversations",
    operation_id = "get_conversation", params(("conversation" = ConversationId, Path)),
    responses((status = 200, body = ConversationView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ConversationId>,
) -> Result<Tagged<ConversationView>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConversationChange {
    /// `open` gives it back to the responder unless it is assigned, `waiting` calls for a person,
    /// `closed` ends it: the customer's next message begins another.
    #[garde(skip)]
    status: Option<Status>,
    /// Who looks after it; `null` is nobody.
    #[garde(skip)]
    #[serde(default, deserialize_with = "misy_web::nullable")]
    #[schema(value_type = Option<UserId>)]
    assignee_id: Option<Option<UserId>>,
}

/// Change status or assignment of a conversation.
#[utoipa::path(patch, path = "/v1/conversations/{conversation}", tag = "conversations",
    operation_id = "change_conversation", params(("conversation" = ConversationId, Path)),
    request_body = ConversationChange, responses((status = 200, body = ConversationView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ConversationId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<ConversationChange>,
) -> Result<Tagged<ConversationView>, Problem> {
    let change = Change { status: body.status, assignee: body.assignee_id };
    Ok(tagged(service::change(&deps, &ctx, id, &seen, change).await?))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct Assignment {
    /// Who looks after it from now on; `null` is nobody.
    #[garde(skip)]
    #[schema(required = true)]
    assignee_id: Option<UserId>,
}

/// Assign a conversation to a person, who leads it from then on.
#[utoipa::path(post, path = "/v1/conversations/{conversation}/assign", tag = "conversations",
    operation_id = "assign_conversation", params(("conversation" = ConversationId, Path)),
    request_body = Assignment, responses((status = 200, body = ConversationView)))]
async fn assign(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ConversationId>,
    Valid(body): Valid<Assignment>,
) -> Result<Tagged<ConversationView>, Problem> {
    let change = Change { assignee: Some(body.assignee_id), ..Change::default() };
    Ok(tagged(service::change(&deps, &ctx, id, &IfMatch::Any, change).await?))
}
