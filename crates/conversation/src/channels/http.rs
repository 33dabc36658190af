//! Room `conversation`: `/v1/channels` and `/v1/channel-types`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_channel::account::Credentials;
use misy_channel::{Capability, Health};
use misy_core::{ChannelId, Page, Secret, Timestamp};
use misy_web::{IfMatch, MergePatch, Paging, Params, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Change, ChannelAccount, NewAccount, Status};
use super::service;
use crate::Deps;

/// The routes of channel accounts.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list_types))
        .routes(routes!(list, connect))
        .routes(routes!(get, change, disconnect))
        .routes(routes!(verify))
        .routes(routes!(health))
        .with_state(deps)
}

/// What a channel can carry.
#[derive(Debug, Serialize, ToSchema)]
struct ChannelType {
    kind: &'static str,
    capability: Capability,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChannelTypes {
    data: Vec<ChannelType>,
}

/// A tenant's account at a provider. Its credentials are never given back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
struct ChannelView {
    id: ChannelId,
    kind: String,
    name: String,
    /// The provider's id of it.
    external_id: String,
    status: Status,
    settings: Map<String, Value>,
    /// Where the provider has to deliver.
    webhook_url: String,
    /// The page to show, of a channel that has no provider; `null` for all others.
    #[schema(required = true)]
    page_url: Option<String>,
    capability: Option<Capability>,
    version: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn view(deps: &Deps, account: ChannelAccount) -> ChannelView {
    let channel = deps.channels.find(&account.kind);
    let front = channel.and_then(|channel| channel.front());
    let page = format!("{}/widget/{}/frame", deps.public_url, account.external_id);
    ChannelView {
        webhook_url: format!("{}/hooks/{}", deps.public_url, account.id),
        page_url: front.map(|_| page),
        capability: channel.map(|one| one.capability().clone()),
        id: account.id,
        kind: account.kind,
        name: account.name,
        external_id: account.external_id,
        status: account.status,
        settings: account.settings,
        version: account.version,
        created_at: account.created_at,
        updated_at: account.updated_at,
    }
}

fn tagged(deps: &Deps, account: ChannelAccount) -> Tagged<ChannelView> {
    Tagged::new(account.version, view(deps, account))
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewChannelBody {
    /// One of `/v1/channel-types`.
    #[garde(length(min = 1, max = 40))]
    #[schema(min_length = 1, max_length = 40)]
    kind: String,
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200, example = "Main number")]
    name: String,
    /// The account's id at the provider, for example a phone-number id.
    #[garde(length(min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    external_id: String,
    /// Secrets by name; which ones, its channel's documentation says.
    #[garde(length(max = 20))]
    #[schema(value_type = std::collections::HashMap<String, Secret>)]
    credentials: std::collections::BTreeMap<String, Secret>,
    /// Everything that is not secret.
    #[garde(skip)]
    #[serde(default)]
    settings: Map<String, Value>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChannelChangeBody {
    #[garde(inner(length(chars, min = 1, max = 200)))]
    name: Option<String>,
    /// Replaces all settings.
    #[garde(skip)]
    settings: Option<Map<String, Value>>,
    /// Replaces the secrets that are named; the others stay.
    #[garde(skip)]
    #[schema(value_type = Option<std::collections::HashMap<String, Secret>>)]
    credentials: Option<std::collections::BTreeMap<String, Secret>>,
    #[garde(skip)]
    status: Option<Status>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only accounts of this channel.
    kind: Option<String>,
}

/// List the channels there are and what each can carry.
#[utoipa::path(get, path = "/v1/channel-types", tag = "channels",
    responses((status = 200, body = ChannelTypes)))]
async fn list_types(State(deps): State<Arc<Deps>>, Tenant(_ctx): Tenant) -> Json<ChannelTypes> {
    let types = deps.channels.iter().map(|channel| ChannelType {
        kind: channel.kind(),
        capability: channel.capability().clone(),
    });
    Json(ChannelTypes { data: types.collect() })
}

/// List channel accounts, oldest first.
#[utoipa::path(get, path = "/v1/channels", tag = "channels", params(Paging, Filter),
    responses((status = 200, body = Page<ChannelView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(filter): Params<Filter>,
) -> Result<Json<Page<ChannelView>>, Problem> {
    let kind = filter.kind.as_deref();
    let page = service::list(&deps, &ctx, kind, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(|account| view(&deps, account))))
}

/// Connect an account.
#[utoipa::path(post, path = "/v1/channels", tag = "channels", request_body = NewChannelBody,
    responses((status = 201, body = ChannelView)))]
async fn connect(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<NewChannelBody>,
) -> Result<(StatusCode, Tagged<ChannelView>), Problem> {
    let new = NewAccount {
        kind: body.kind,
        name: body.name,
        external_id: body.external_id,
        credentials: Credentials(body.credentials),
        settings: body.settings,
    };
    let account = service::connect(&deps, &ctx, new).await?;
    Ok((StatusCode::CREATED, tagged(&deps, account)))
}

/// Read an account.
#[utoipa::path(get, path = "/v1/channels/{channel}", tag = "channels",
    params(("channel" = ChannelId, Path)), responses((status = 200, body = ChannelView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ChannelId>,
) -> Result<Tagged<ChannelView>, Problem> {
    Ok(tagged(&deps, service::get(&deps, &ctx, id).await?))
}

/// Change an account.
#[utoipa::path(patch, path = "/v1/channels/{channel}", tag = "channels",
    params(("channel" = ChannelId, Path)), request_body = ChannelChangeBody,
    responses((status = 200, body = ChannelView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ChannelId>,
    expected: IfMatch,
    MergePatch(body): MergePatch<ChannelChangeBody>,
) -> Result<Tagged<ChannelView>, Problem> {
    let change = Change {
        name: body.name,
        settings: body.settings,
        credentials: body.credentials.map(Credentials),
        status: body.status,
    };
    let expected = |version| expected.check(version).is_ok();
    Ok(tagged(&deps, service::change(&deps, &ctx, id, expected, change).await?))
}

/// Disconnect an account; its messages stay.
#[utoipa::path(delete, path = "/v1/channels/{channel}", tag = "channels",
    params(("channel" = ChannelId, Path)), responses((status = 204)))]
async fn disconnect(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ChannelId>,
) -> Result<StatusCode, Problem> {
    service::disconnect(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask the provider whether the account's credentials work.
#[utoipa::path(post, path = "/v1/channels/{channel}/verify", tag = "channels",
    params(("channel" = ChannelId, Path)), responses((status = 200, body = Health)))]
async fn verify(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ChannelId>,
) -> Result<Json<Health>, Problem> {
    Ok(Json(service::check_health(&deps, &ctx, id).await?))
}

/// Read whether the account can send now.
#[utoipa::path(get, path = "/v1/channels/{channel}/health", tag = "channels",
    params(("channel" = ChannelId, Path)), responses((status = 200, body = Health)))]
async fn health(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ChannelId>,
) -> Result<Json<Health>, Problem> {
    Ok(Json(service::check_health(&deps, &ctx, id).await?))
}
