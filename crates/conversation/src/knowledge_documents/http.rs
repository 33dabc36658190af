//! Room `conversation`: `/v1/knowledge-documents`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{KnowledgeDocumentId, Page, Timestamp};
use misy_web::{
    IfMatch, MergePatch, Paging, Params, PathId, Problem, Tagged, Tenant, Traits, Valid,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Change, Filter, KnowledgeDocument, NewDocument};
use super::service;
use crate::Deps;

/// A text of 2 MiB as JSON, in which a character may take twice its bytes.
const BODY_LIMIT_BYTES: usize = 5 << 20;

/// The routes of knowledge documents.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    let large = Traits::new().body_limit_bytes(BODY_LIMIT_BYTES);
    OpenApiRouter::new()
        .routes(misy_web::with(routes!(list, create), large))
        .routes(misy_web::with(routes!(get, change, delete), large))
        .with_state(deps)
}

/// Whether a document answers questions as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = KnowledgeDocumentStatus)]
enum StatusView {
    /// Its last change is not searched yet.
    Pending,
    /// It is searched as it is.
    Ready,
}

/// A document of the knowledge, without its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnowledgeDocument)]
struct DocumentView {
    id: KnowledgeDocumentId,
    title: String,
    language: String,
    tags: Vec<String>,
    status: StatusView,
    /// How long its text is.
    bytes: i32,
    /// Into how many passages it was cut.
    passages: i32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A document of the knowledge with its text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnowledgeDocumentWithText)]
struct WholeView {
    #[serde(flatten)]
    document: DocumentView,
    text: String,
}

fn view(document: KnowledgeDocument) -> DocumentView {
    let status = if document.is_indexed { StatusView::Ready } else { StatusView::Pending };
    let KnowledgeDocument { id, title, language, tags, bytes, passages, .. } = document;
    let KnowledgeDocument { created_at, updated_at, .. } = document;
    DocumentView { id, title, language, tags, status, bytes, passages, created_at, updated_at }
}

fn tagged(document: KnowledgeDocument) -> Tagged<DocumentView> {
    Tagged::new(document.version, view(document))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKnowledgeDocument {
    /// What it is called.
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 300, example = "Returns and refunds")]
    title: String,
    /// The language of the text, BCP 47.
    #[garde(skip)]
    #[schema(example = "en")]
    language: String,
    /// The text, plain or Markdown, at most 2 MiB. Headings (`#`) and empty lines say where it is
    /// cut into passages.
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 2_097_152, example = "# Returns\n\nWithin 30 days.")]
    text: String,
    /// Words to find it by.
    #[garde(skip)]
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct KnowledgeDocumentChange {
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 300)]
    title: Option<String>,
    #[garde(skip)]
    language: Option<String>,
    /// Replaces the whole text.
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 2_097_152)]
    text: Option<String>,
    /// Replaces all tags.
    #[garde(skip)]
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DocumentFilter {
    /// Only documents of this language.
    language: Option<String>,
    /// Only documents with this tag.
    tag: Option<String>,
}

/// List knowledge documents without their texts, newest first.
#[utoipa::path(get, path = "/v1/knowledge-documents", tag = "knowledge",
    operation_id = "list_knowledge_documents", params(Paging, DocumentFilter),
    responses((status = 200, body = Page<DocumentView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(wanted): Params<DocumentFilter>,
) -> Result<Json<Page<DocumentView>>, Problem> {
    let filter = Filter { language: wanted.language, tag: wanted.tag };
    let page = service::list(&deps, &ctx, &filter, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(view)))
}

/// Add a knowledge document. Its passages are searched soon after (`status` is `ready` then).
#[utoipa::path(post, path = "/v1/knowledge-documents", tag = "knowledge",
    operation_id = "create_knowledge_document", request_body = NewKnowledgeDocument,
    responses((status = 201, body = DocumentView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<NewKnowledgeDocument>,
) -> Result<(StatusCode, Tagged<DocumentView>), Problem> {
    let NewKnowledgeDocument { title, language, text, tags } = body;
    let new = NewDocument { title, language, text, tags };
    Ok((StatusCode::CREATED, tagged(service::create(&deps, &ctx, new).await?)))
}

/// Read a knowledge document with its text.
#[utoipa::path(get, path = "/v1/knowledge-documents/{document}", tag = "knowledge",
    operation_id = "get_knowledge_document", params(("document" = KnowledgeDocumentId, Path)),
    responses((status = 200, body = WholeView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<KnowledgeDocumentId>,
) -> Result<Tagged<WholeView>, Problem> {
    let (document, text) = service::get(&deps, &ctx, id).await?;
    Ok(Tagged::new(document.version, WholeView { document: view(document), text }))
}

/// Change a knowledge document. Until its new passages are made, the old ones answer.
#[utoipa::path(patch, path = "/v1/knowledge-documents/{document}", tag = "knowledge",
    operation_id = "change_knowledge_document", params(("document" = KnowledgeDocumentId, Path)),
    request_body = KnowledgeDocumentChange, responses((status = 200, body = DocumentView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<KnowledgeDocumentId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<KnowledgeDocumentChange>,
) -> Result<Tagged<DocumentView>, Problem> {
    let KnowledgeDocumentChange { title, language, text, tags } = body;
    let change = Change { title, language, text, tags };
    Ok(tagged(service::change(&deps, &ctx, id, &seen, change).await?))
}

/// Remove a knowledge document. Nothing is answered from it any more.
#[utoipa::path(delete, path = "/v1/knowledge-documents/{document}", tag = "knowledge",
    operation_id = "delete_knowledge_document", params(("document" = KnowledgeDocumentId, Path)),
    responses((status = 204)))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<KnowledgeDocumentId>,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
