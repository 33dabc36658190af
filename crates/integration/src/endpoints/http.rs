//! Room `integration`: `/v1/webhook-endpoints`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{ChannelId, EndpointId, Page, Secret, Timestamp};
use misy_web::{IfMatch, MergePatch, Paging, PathId, Problem, Tagged, Tenant, Valid, nullable};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{
    Change, ClientCertificate, Condition, DisabledReason, Endpoint, Settings, Status,
};
use super::service::{self, Shown};
use crate::Deps;
use crate::deliveries::http::SentView;

/// The routes of endpoints.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, remove))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(verify))
        .with_state(deps)
}

/// Where a tenant wants to be told. Secrets are never given back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
struct EndpointView {
    id: EndpointId,
    url: String,
    description: String,
    status: Status,
    disabled_reason: Option<DisabledReason>,
    /// `null` is all.
    event_types: Option<Vec<String>>,
    /// `null` is all.
    channels: Option<Vec<ChannelId>>,
    conditions: Vec<Condition>,
    /// Deliveries under way at once, at most.
    in_flight: i16,
    /// Whether an event is sent only when the one before it has arrived.
    fifo: bool,
    settings: Settings,
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    version: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Endpoint> for EndpointView {
    fn from(it: Endpoint) -> Self {
        Self {
            id: it.id,
            url: it.url,
            description: it.description,
            status: it.status,
            disabled_reason: it.disabled_reason,
            event_types: it.event_types,
            channels: it.channels,
            conditions: it.conditions,
            in_flight: it.in_flight,
            fifo: it.fifo,
            settings: it.settings,
            failing_since: it.failing_since,
            version: it.version,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// An endpoint with its secret, which is shown here only.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookEndpointWithSecret)]
struct ShownView {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// `whsec_..`: by which `v1` is made and checked. Not shown again.
    secret: String,
    /// `whpk_..`: by which `v1a` is checked, if that is sent.
    public_key: Option<String>,
}

fn show(shown: Shown) -> Tagged<ShownView> {
    let public_key = shown.public_key.map(|key| key.expose().to_owned());
    let secret = shown.secret.expose().to_owned();
    let version = shown.endpoint.version;
    Tagged::new(version, ShownView { endpoint: shown.endpoint.into(), secret, public_key })
}

fn tagged(endpoint: Endpoint) -> Tagged<EndpointView> {
    Tagged::new(endpoint.version, endpoint.into())
}

/// Who we are to a receiver that asks (mutual TLS).
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = WebhookClientCertificate)]
#[serde(deny_unknown_fields)]
struct CertificateBody {
    /// Certificates as PEM, ours first.
    #[garde(length(max = 65_536))]
    #[schema(max_length = 65_536)]
    certificates: String,
    /// Their key, as PEM.
    #[garde(skip)]
    key: Secret,
}

impl From<CertificateBody> for ClientCertificate {
    fn from(body: CertificateBody) -> Self {
        Self { certificates: body.certificates, key: body.key }
    }
}

type SecretHeaders = BTreeMap<String, Secret>;

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = CreateWebhookEndpoint)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    /// Where; `https`, and no private host unless the operator allows it.
    #[garde(length(min = 1, max = 2_000))]
    #[schema(min_length = 1, max_length = 2_000, example = "https://shop.example/hooks")]
    url: String,
    #[garde(length(chars, max = 500))]
    #[schema(max_length = 500)]
    #[serde(default)]
    description: String,
    /// Types as in `/v1/event-types`, your own, or `order.*`; all if not given.
    #[garde(inner(length(min = 1, max = 100)))]
    #[schema(min_items = 1, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Only what happened over these channel accounts.
    #[garde(skip)]
    #[schema(min_items = 1, max_items = 100)]
    channels: Option<Vec<ChannelId>>,
    /// What must hold of the payload, all of it.
    #[garde(skip)]
    #[schema(max_items = 20)]
    #[serde(default)]
    conditions: Vec<Condition>,
    /// Deliveries under way at once, 100 if not given.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 1000)]
    in_flight: Option<i16>,
    /// Send an event only when the one before it has arrived.
    #[garde(skip)]
    #[serde(default)]
    fifo: bool,
    #[garde(skip)]
    #[serde(default)]
    settings: Settings,
    /// Headers whose values are secret.
    #[garde(skip)]
    #[schema(value_type = std::collections::HashMap<String, Secret>)]
    #[serde(default)]
    secret_headers: SecretHeaders,
    #[garde(dive)]
    client_certificate: Option<CertificateBody>,
    /// By which tokens are got, if `settings.oauth` is given. Not shown again.
    #[garde(skip)]
    oauth_client_secret: Option<Secret>,
}

impl From<CreateBody> for Change {
    fn from(body: CreateBody) -> Self {
        Self {
            url: Some(body.url),
            description: Some(body.description),
            enabled: None,
            event_types: Some(body.event_types),
            channels: Some(body.channels),
            conditions: Some(body.conditions),
            in_flight: body.in_flight,
            fifo: Some(body.fifo),
            settings: Some(body.settings),
            secret_headers: Some(body.secret_headers),
            certificate: Some(body.client_certificate.map(Into::into)),
            oauth: Some(body.oauth_client_secret),
        }
    }
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = ChangeWebhookEndpoint)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[garde(inner(length(min = 1, max = 2_000)))]
    #[schema(min_length = 1, max_length = 2_000)]
    url: Option<String>,
    #[garde(inner(length(chars, max = 500)))]
    #[schema(max_length = 500)]
    description: Option<String>,
    /// On or off.
    #[garde(skip)]
    enabled: Option<bool>,
    #[garde(skip)]
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 100)]
    event_types: Option<Option<Vec<String>>>,
    #[garde(skip)]
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Vec<ChannelId>>, min_items = 1, max_items = 100)]
    channels: Option<Option<Vec<ChannelId>>>,
    #[garde(skip)]
    #[schema(max_items = 20)]
    conditions: Option<Vec<Condition>>,
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 1000)]
    in_flight: Option<i16>,
    #[garde(skip)]
    fifo: Option<bool>,
    /// Replaces all settings.
    #[garde(skip)]
    settings: Option<Settings>,
    /// Replaces all secret headers.
    #[garde(skip)]
    #[schema(value_type = Option<std::collections::HashMap<String, Secret>>)]
    secret_headers: Option<SecretHeaders>,
    #[garde(skip)]
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<CertificateBody>)]
    client_certificate: Option<Option<CertificateBody>>,
    /// By which tokens are got.
    #[garde(skip)]
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Secret>)]
    oauth_client_secret: Option<Option<Secret>>,
}

impl From<ChangeBody> for Change {
    fn from(body: ChangeBody) -> Self {
        Self {
            url: body.url,
            description: body.description,
            enabled: body.enabled,
            event_types: body.event_types,
            channels: body.channels,
            conditions: body.conditions,
            in_flight: body.in_flight,
            fifo: body.fifo,
            settings: body.settings,
            secret_headers: body.secret_headers,
            certificate: body.client_certificate.map(|it| it.map(Into::into)),
            oauth: body.oauth_client_secret,
        }
    }
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = RotateWebhookSecret)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    /// For how long the old secret stays good, in seconds: a day if not given.
    #[garde(skip)]
    #[schema(maximum = 604_800)]
    overlap_s: Option<u32>,
}

/// List endpoints, oldest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints", tag = "webhook-endpoints", params(Paging),
    responses((status = 200, body = Page<EndpointView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<EndpointView>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(Into::into)))
}

/// Make an endpoint. The answer holds its secret, which is not shown again.
#[utoipa::path(post, path = "/v1/webhook-endpoints", tag = "webhook-endpoints",
    request_body = CreateBody, responses((status = 201, body = ShownView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateBody>,
) -> Result<(StatusCode, Tagged<ShownView>), Problem> {
    Ok((StatusCode::CREATED, show(service::create(&deps, &ctx, body.into()).await?)))
}

/// Read an endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint}", tag = "webhook-endpoints",
    params(("endpoint" = EndpointId, Path)), responses((status = 200, body = EndpointView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EndpointId>,
) -> Result<Tagged<EndpointView>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// Change an endpoint, switch it on or off.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{endpoint}", tag = "webhook-endpoints",
    params(("endpoint" = EndpointId, Path)), request_body = ChangeBody,
    responses((status = 200, body = EndpointView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EndpointId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<ChangeBody>,
) -> Result<Tagged<EndpointView>, Problem> {
    Ok(tagged(service::change(&deps, &ctx, id, &seen, body.into()).await?))
}

/// Remove an endpoint. What waits for it is discarded.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{endpoint}", tag = "webhook-endpoints",
    params(("endpoint" = EndpointId, Path)), responses((status = 204)))]
async fn remove(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EndpointId>,
) -> Result<StatusCode, Problem> {
    service::remove(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replace the secret. Until the overlap is over, deliveries carry a signature by each.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/secret/rotate",
    tag = "webhook-endpoints", params(("endpoint" = EndpointId, Path)),
    request_body = RotateBody, responses((status = 200, body = ShownView)))]
async fn rotate(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EndpointId>,
    Valid(body): Valid<RotateBody>,
) -> Result<Tagged<ShownView>, Problem> {
    Ok(show(service::rotate(&deps, &ctx, id, body.overlap_s).await?))
}

/// Send a test event now and see what comes back.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/test", tag = "webhook-endpoints",
    params(("endpoint" = EndpointId, Path)), responses((status = 200, body = SentView)))]
async fn test(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EndpointId>,
) -> Result<Json<SentView>, Problem> {
    Ok(Json(service::test(&deps, &ctx, id).await?.into()))
}

/// Send a challenge, which the owner answers by giving `data.challenge` back.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/verify", tag = "webhook-endpoints",
    params(("endpoint" = EndpointId, Path)), responses((status = 200, body = EndpointView)))]
async fn verify(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EndpointId>,
) -> Result<Tagged<EndpointView>, Problem> {
    Ok(tagged(service::verify(&deps, &ctx, id).await?))
}
