//! Room `conversation`: `/v1/knowledge-entries`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{KnowledgeEntryId, Page, Timestamp};
use misy_web::{IfMatch, MergePatch, Paging, Params, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Change, Filter, KnowledgeEntry, NewEntry};
use super::service;
use crate::Deps;

/// The routes of knowledge entries.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .with_state(deps)
}

/// A question and its answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnowledgeEntry)]
struct EntryView {
    id: KnowledgeEntryId,
    question: String,
    answer: String,
    language: String,
    tags: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn view(entry: KnowledgeEntry) -> EntryView {
    let KnowledgeEntry { id, question, answer, language, tags, created_at, updated_at, .. } = entry;
    EntryView { id, question, answer, language, tags, created_at, updated_at }
}

fn tagged(entry: KnowledgeEntry) -> Tagged<EntryView> {
    Tagged::new(entry.version, view(entry))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKnowledgeEntry {
    /// The question as customers ask it.
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 1000, example = "What are your opening hours?")]
    question: String,
    /// The answer as it is sent.
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 10000)]
    answer: String,
    /// The language of both, BCP 47.
    #[garde(skip)]
    #[schema(example = "en")]
    language: String,
    /// Words to find it by.
    #[garde(skip)]
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct KnowledgeEntryChange {
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 1000)]
    question: Option<String>,
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 10000)]
    answer: Option<String>,
    #[garde(skip)]
    language: Option<String>,
    /// Replaces all tags.
    #[garde(skip)]
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EntryFilter {
    /// Only entries of this language.
    language: Option<String>,
    /// Only entries with this tag.
    tag: Option<String>,
    /// Only entries in which all these words, or this very text, occur.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
}

/// List knowledge entries, newest first.
#[utoipa::path(get, path = "/v1/knowledge-entries", tag = "knowledge",
    operation_id = "list_knowledge_entries", params(Paging, EntryFilter),
    responses((status = 200, body = Page<EntryView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(wanted): Params<EntryFilter>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let filter = Filter { language: wanted.language, tag: wanted.tag, text: wanted.q };
    let page = service::list(&deps, &ctx, &filter, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(view)))
}

/// Add a knowledge entry.
#[utoipa::path(post, path = "/v1/knowledge-entries", tag = "knowledge",
    operation_id = "create_knowledge_entry", request_body = NewKnowledgeEntry,
    responses((status = 201, body = EntryView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<NewKnowledgeEntry>,
) -> Result<(StatusCode, Tagged<EntryView>), Problem> {
    let NewKnowledgeEntry { question, answer, language, tags } = body;
    let new = NewEntry { question, answer, language, tags };
    Ok((StatusCode::CREATED, tagged(service::create(&deps, &ctx, new).await?)))
}

/// Read a knowledge entry.
#[utoipa::path(get, path = "/v1/knowledge-entries/{entry}", tag = "knowledge",
    operation_id = "get_knowledge_entry", params(("entry" = KnowledgeEntryId, Path)),
    responses((status = 200, body = EntryView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<KnowledgeEntryId>,
) -> Result<Tagged<EntryView>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// Change a knowledge entry.
#[utoipa::path(patch, path = "/v1/knowledge-entries/{entry}", tag = "knowledge",
    operation_id = "change_knowledge_entry", params(("entry" = KnowledgeEntryId, Path)),
    request_body = KnowledgeEntryChange, responses((status = 200, body = EntryView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<KnowledgeEntryId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<KnowledgeEntryChange>,
) -> Result<Tagged<EntryView>, Problem> {
    let KnowledgeEntryChange { question, answer, language, tags } = body;
    let change = Change { question, answer, language, tags };
    Ok(tagged(service::change(&deps, &ctx, id, &seen, change).await?))
}

/// Remove a knowledge entry.
#[utoipa::path(delete, path = "/v1/knowledge-entries/{entry}", tag = "knowledge",
    operation_id = "delete_knowledge_entry", params(("entry" = KnowledgeEntryId, Path)),
    responses((status = 204)))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<KnowledgeEntryId>,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
