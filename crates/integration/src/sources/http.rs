//! Room `integration`: `/v1/sources`, what was received from them, and the address they send to.

mod hooks;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use garde::Validate;
use misy_core::{EventId, Page, ReceiptId, Secret, SourceId, Timestamp};
use misy_web::{
    IfMatch, MergePatch, Paging, Params, PathId, Problem, Tagged, Tenant, Valid, nullable,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Preset, Receipt, Scheme, Settings, Source, Stage, Status, Tally, presets};
use super::service::{self, Change};
use crate::Deps;

/// The routes of sources.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    let address = hooks::router(Arc::clone(&deps));
    OpenApiRouter::new()
        .routes(routes!(list_presets))
        .routes(routes!(list, create))
        .routes(routes!(get, change, remove))
        .routes(routes!(rotate))
        .routes(routes!(list_receipts))
        .routes(routes!(get_receipt))
        .routes(routes!(replay))
        .with_state(deps)
        .merge(address)
}

/// A provider that is known.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourcePreset)]
struct PresetView {
    /// What `preset` is set to.
    name: &'static str,
    title: &'static str,
    /// What to give as `secret`.
    secret: &'static str,
    /// Where the provider describes it.
    reference: &'static str,
    /// `null` if it is checked by code of its own.
    scheme: Option<Scheme>,
}

impl From<Preset> for PresetView {
    fn from(it: Preset) -> Self {
        let scheme = (!it.scheme.algorithm.is_coded()).then_some(it.scheme);
        Self { name: it.slug, title: it.title, secret: it.secret, reference: it.reference, scheme }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourcePresets)]
struct PresetsView {
    data: Vec<PresetView>,
}

/// Another service that is listened to. Secrets are never given back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Source)]
struct SourceView {
    id: SourceId,
    name: String,
    status: Status,
    /// What the other service is told to send to.
    address: String,
    settings: Settings,
    /// Requests that were refused.
    refusals: i64,
    /// Requests that came before, and were not told again.
    repetitions: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_refused_at: Option<Timestamp>,
    version: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn view(deps: &Deps, (it, tally): (Source, Tally)) -> SourceView {
    SourceView {
        id: it.id,
        address: format!("{}/hooks/sources/{}", deps.public_url, it.id),
        name: it.name,
        status: it.status,
        settings: it.settings,
        refusals: tally.refusals,
        repetitions: tally.repetitions,
        last_refused_at: tally.last_refused_at,
        version: it.version,
        created_at: it.created_at,
        updated_at: it.updated_at,
    }
}

fn tagged(deps: &Deps, of: (Source, Tally)) -> Tagged<SourceView> {
    Tagged::new(of.0.version, view(deps, of))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = CreateSource)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200, example = "Payments")]
    name: String,
    #[garde(skip)]
    settings: Settings,
    /// By what its senders are known: a shared secret, a token, `user:password`, a public key.
    #[garde(skip)]
    secret: Secret,
    /// What a provider's handshake has to name (Meta).
    #[garde(skip)]
    verify_token: Option<Secret>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = ChangeSource)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[garde(inner(length(chars, min = 1, max = 200)))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// On or off.
    #[garde(skip)]
    enabled: Option<bool>,
    /// Replaces all settings.
    #[garde(skip)]
    settings: Option<Settings>,
    #[garde(skip)]
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Secret>)]
    verify_token: Option<Option<Secret>>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = RotateSourceSecret)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// The new secret.
    #[garde(skip)]
    secret: Secret,
    /// For how long what the old one signs is taken, in seconds: a day if not given.
    #[garde(skip)]
    #[schema(maximum = 604_800)]
    overlap_s: Option<u32>,
}

/// Something that was received.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceReceipt)]
struct ReceiptView {
    id: ReceiptId,
    source_id: SourceId,
    status: Stage,
    /// Why it was refused, like `signature_mismatch` or `too_old`, or is not valid, like
    /// `schema_mismatch`.
    reason: Option<String>,
    /// What is wrong with the body, each a pointer and a detail.
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Option<Value>,
    /// The sender's own id of it.
    external_id: Option<String>,
    query: Option<String>,
    /// Without those that prove who sent it.
    #[schema(value_type = Object)]
    headers: Value,
    /// The body as it came, in base64; only if asked for by its id, and if it was kept.
    body_base64: Option<String>,
    body_bytes: i32,
    /// The event that it was told as last.
    event_id: Option<EventId>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    processed_at: Option<Timestamp>,
}

impl From<Receipt> for ReceiptView {
    fn from(it: Receipt) -> Self {
        Self {
            id: it.id,
            source_id: it.source,
            status: it.stage,
            reason: it.reason,
            errors: it.faults,
            external_id: it.external_id,
            query: it.query,
            headers: it.headers,
            body_base64: it.body.map(|body| STANDARD.encode(body)),
            body_bytes: it.body_bytes,
            event_id: it.event,
            received_at: it.received_at,
            processed_at: it.processed_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only from this source.
    source_id: Option<SourceId>,
    /// Only of this status.
    status: Option<Stage>,
}

/// List the services that are known, with what their secret is.
#[utoipa::path(get, path = "/v1/source-presets", tag = "sources",
    responses((status = 200, body = PresetsView)))]
async fn list_presets(Tenant(_ctx): Tenant) -> Json<PresetsView> {
    Json(PresetsView { data: presets().into_iter().map(Into::into).collect() })
}

/// List sources, oldest first.
#[utoipa::path(get, path = "/v1/sources", tag = "sources", params(Paging),
    responses((status = 200, body = Page<SourceView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<SourceView>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(|of| view(&deps, of))))
}

/// Make a source. The answer holds the address to give to the other service.
#[utoipa::path(post, path = "/v1/sources", tag = "sources", request_body = CreateBody,
    responses((status = 201, body = SourceView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateBody>,
) -> Result<(StatusCode, Tagged<SourceView>), Problem> {
    let CreateBody { name, settings, secret, verify_token } = body;
    let made = service::create(&deps, &ctx, name, settings, secret, verify_token).await?;
    Ok((StatusCode::CREATED, tagged(&deps, (made, Tally::default()))))
}

/// Read a source.
#[utoipa::path(get, path = "/v1/sources/{source}", tag = "sources",
    params(("source" = SourceId, Path)), responses((status = 200, body = SourceView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SourceId>,
) -> Result<Tagged<SourceView>, Problem> {
    Ok(tagged(&deps, service::get(&deps, &ctx, id).await?))
}

/// Change a source, switch it on or off.
#[utoipa::path(patch, path = "/v1/sources/{source}", tag = "sources",
    params(("source" = SourceId, Path)), request_body = ChangeBody,
    responses((status = 200, body = SourceView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SourceId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<ChangeBody>,
) -> Result<Tagged<SourceView>, Problem> {
    let ChangeBody { name, enabled, settings, verify_token } = body;
    let change = Change { name, enabled, settings, verify_token };
    Ok(tagged(&deps, service::change(&deps, &ctx, id, &seen, change).await?))
}

/// Remove a source. What was received from it stays until its day is dropped.
#[utoipa::path(delete, path = "/v1/sources/{source}", tag = "sources",
    params(("source" = SourceId, Path)), responses((status = 204)))]
async fn remove(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SourceId>,
) -> Result<StatusCode, Problem> {
    service::remove(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a source a new secret. Until the overlap is over, the old one is good as well.
#[utoipa::path(post, path = "/v1/sources/{source}/secret/rotate", tag = "sources",
    params(("source" = SourceId, Path)), request_body = RotateBody,
    responses((status = 200, body = SourceView)))]
async fn rotate(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SourceId>,
    Valid(body): Valid<RotateBody>,
) -> Result<Tagged<SourceView>, Problem> {
    let rotated = service::rotate(&deps, &ctx, id, body.secret, body.overlap_s).await?;
    Ok(tagged(&deps, rotated))
}

/// List what was received, newest first, and what was refused, with the reason.
#[utoipa::path(get, path = "/v1/source-receipts", tag = "sources", params(Paging, Filter),
    responses((status = 200, body = Page<ReceiptView>)))]
async fn list_receipts(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(filter): Params<Filter>,
) -> Result<Json<Page<ReceiptView>>, Problem> {
    let Filter { source_id, status } = filter;
    let (cursor, limit) = (paging.cursor, paging.limit);
    let page = service::list_receipts(&deps, &ctx, source_id, status, cursor, limit).await?;
    Ok(Json(page.map(Into::into)))
}

/// Read what was received, with its body.
#[utoipa::path(get, path = "/v1/source-receipts/{receipt}", tag = "sources",
    params(("receipt" = ReceiptId, Path)), responses((status = 200, body = ReceiptView)))]
async fn get_receipt(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ReceiptId>,
) -> Result<Json<ReceiptView>, Problem> {
    Ok(Json(service::get_receipt(&deps, &ctx, id).await?.into()))
}

/// Have what was received told again, by the source's settings of now.
#[utoipa::path(post, path = "/v1/source-receipts/{receipt}/replay", tag = "sources",
    params(("receipt" = ReceiptId, Path)), responses((status = 202, body = ReceiptView)))]
async fn replay(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ReceiptId>,
) -> Result<(StatusCode, Json<ReceiptView>), Problem> {
    let receipt = service::replay(&deps, &ctx, id).await?;
    Ok((StatusCode::ACCEPTED, Json(receipt.into())))
}
