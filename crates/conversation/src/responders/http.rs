//! Room `conversation`: `/v1/conversations/{conversation}/context`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use misy_core::{ConversationId, KnowledgeEntryId, MessageId, Timestamp};
use misy_web::{PathId, Problem, Tenant};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::HandOverReason;
use super::service;
use crate::Deps;

/// The routes of responders.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(get)).with_state(deps)
}

/// What the responder remembers of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConversationContext)]
struct ContextView {
    conversation_id: ConversationId,
    /// The language of the customer's last message whose language could be told.
    #[schema(required = true)]
    language: Option<String>,
    #[schema(required = true)]
    last_answer: Option<AnswerView>,
    #[schema(required = true)]
    last_hand_over: Option<HandOverView>,
    /// Messages that the responder has decided on.
    turns: u32,
}

/// The last answer that was given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContextAnswer)]
struct AnswerView {
    message_id: MessageId,
    #[schema(required = true)]
    knowledge_entry_id: Option<KnowledgeEntryId>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// The last time that people were called.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContextHandOver)]
struct HandOverView {
    message_id: MessageId,
    reason: HandOverReason,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Read what the responder remembers of a conversation.
#[utoipa::path(get, path = "/v1/conversations/{conversation}/context", tag = "conversations",
    operation_id = "get_conversation_context", params(("conversation" = ConversationId, Path)),
    responses((status = 200, body = ContextView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ConversationId>,
) -> Result<Json<ContextView>, Problem> {
    let kept = service::context(&deps, &ctx, id).await?;
    let answer = kept.answered.map(|it| AnswerView {
        message_id: it.message,
        knowledge_entry_id: it.entry,
        at: it.at,
    });
    let hand_over = kept.handed_over.map(|it| HandOverView {
        message_id: it.message,
        reason: it.reason,
        at: it.at,
    });
    Ok(Json(ContextView {
        conversation_id: id,
        language: kept.language,
        last_answer: answer,
        last_hand_over: hand_over,
        turns: kept.turns,
    }))
}
