//! Room `identity`: `/v1/sso-connections`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{Page, Role, Secret, SsoConnectionId, Timestamp};
use misy_web::{IfMatch, MergePatch, Paging, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Attributes, Change, Connection, GroupRole, Kind, NewConnection, Rules, Status};
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .with_state(Arc::clone(deps))
}

/// A connection to an identity provider.
#[derive(Serialize, ToSchema)]
#[schema(as = SsoConnection)]
struct ConnectionBody {
    id: SsoConnectionId,
    kind: Kind,
    name: String,
    status: Status,
    /// By kind; see `docs/sso-oidc.md`.
    settings: Map<String, Value>,
    /// The names of the secrets there are; they are never given back.
    secrets: Vec<String>,
    /// Whether somebody who is not there yet is added at the first sign-in.
    jit: bool,
    /// The role of those whose groups name none.
    #[schema(required = true)]
    default_role: Option<Role>,
    /// No sign-in gives more than this role.
    role_ceiling: Role,
    role_mapping: Vec<GroupRole>,
    attributes: Attributes,
    /// Where people begin to sign in.
    start_url: String,
    /// What to enter at the provider as the address to come back to.
    callback_url: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

fn tagged(deps: &Deps, connection: Connection) -> Tagged<ConnectionBody> {
    Tagged::new(connection.version, view(deps, connection))
}

fn view(deps: &Deps, connection: Connection) -> ConnectionBody {
    let Connection { id, kind, .. } = connection;
    let url = |what: &str| format!("{}/v1/auth/{}/{id}/{what}", deps.config.issuer, kind.slug());
    let rules = connection.rules;
    ConnectionBody {
        id,
        kind,
        name: connection.name,
        status: connection.status,
        settings: connection.settings,
        secrets: connection.secret_names,
        jit: rules.jit,
        default_role: rules.default_role,
        role_ceiling: rules.role_ceiling,
        role_mapping: rules.role_mapping,
        attributes: rules.attributes,
        start_url: url("start"),
        callback_url: url(match kind {
            Kind::Oidc => "callback",
            Kind::Saml => "acs",
        }),
        created_at: connection.created_at,
        updated_at: connection.updated_at,
    }
}

const fn admin() -> Role {
    Role::Admin
}

/// A connection to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CreateSsoConnection {
    kind: Kind,
    /// The name as shown.
    #[schema(min_length = 1, max_length = 200, example = "Acme Keycloak")]
    name: String,
    /// By kind; see `docs/sso-oidc.md`.
    settings: Map<String, Value>,
    /// Secrets by name, `client_secret` for `oidc`.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, Secret>>)]
    secrets: BTreeMap<String, Secret>,
    /// Whether somebody who is not there yet is added at the first sign-in.
    #[serde(default)]
    jit: bool,
    /// The role of those whose groups name none; without it they stay outside.
    default_role: Option<Role>,
    /// No sign-in gives more than this role; `admin` at most.
    #[serde(default = "admin")]
    role_ceiling: Role,
    #[serde(default)]
    #[schema(max_items = 200)]
    role_mapping: Vec<GroupRole>,
    #[serde(default)]
    attributes: Attributes,
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct UpdateSsoConnection {
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    name: Option<String>,
    #[schema(nullable = false)]
    status: Option<Status>,
    /// Replaces all settings.
    #[schema(nullable = false)]
    settings: Option<Map<String, Value>>,
    /// Replaces the secrets that are named; `null` removes one.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, Option<String>>>)]
    secrets: BTreeMap<String, Option<Secret>>,
    #[schema(nullable = false)]
    jit: Option<bool>,
    #[serde(default, deserialize_with = "misy_web::nullable")]
    default_role: Option<Option<Role>>,
    #[schema(nullable = false)]
    role_ceiling: Option<Role>,
    /// Replaces the whole mapping.
    #[schema(nullable = false, max_items = 200)]
    role_mapping: Option<Vec<GroupRole>>,
    #[schema(nullable = false)]
    attributes: Option<Attributes>,
}

/// The tenant's connections, oldest first.
#[utoipa::path(get, path = "/v1/sso-connections", tag = "single sign-on", params(Paging),
    responses((status = 200, description = "one page", body = Page<ConnectionBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<ConnectionBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(|connection| view(&deps, connection))))
}

/// Connects an identity provider.
#[utoipa::path(post, path = "/v1/sso-connections", tag = "single sign-on",
    request_body = CreateSsoConnection,
    responses((status = 201, description = "connected", body = ConnectionBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateSsoConnection>,
) -> Result<impl IntoResponse, Problem> {
    let CreateSsoConnection { jit, default_role, role_ceiling, role_mapping, .. } = body;
    let attributes = body.attributes;
    let rules = Rules { jit, default_role, role_ceiling, role_mapping, attributes };
    let CreateSsoConnection { kind, name, settings, secrets, .. } = body;
    let new = NewConnection { kind, name, settings, secrets, rules };
    let connection = service::create(&deps, &ctx, new).await?;
    Ok((StatusCode::CREATED, tagged(&deps, connection)))
}

/// One connection.
#[utoipa::path(get, path = "/v1/sso-connections/{id}", tag = "single sign-on",
    params(("id" = SsoConnectionId, Path)),
    responses((status = 200, description = "the connection", body = ConnectionBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SsoConnectionId>,
) -> Result<Tagged<ConnectionBody>, Problem> {
    Ok(tagged(&deps, service::get(&deps, &ctx, id).await?))
}

/// Changes a connection.
#[utoipa::path(patch, path = "/v1/sso-connections/{id}", tag = "single sign-on",
    params(("id" = SsoConnectionId, Path)), request_body = UpdateSsoConnection,
    responses((status = 200, description = "changed", body = ConnectionBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SsoConnectionId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdateSsoConnection>,
) -> Result<Tagged<ConnectionBody>, Problem> {
    let change = Change {
        name: body.name,
        status: body.status,
        settings: body.settings,
        secrets: body.secrets,
        jit: body.jit,
        default_role: body.default_role,
        role_ceiling: body.role_ceiling,
        role_mapping: body.role_mapping,
        attributes: body.attributes,
    };
    Ok(tagged(&deps, service::update(&deps, &ctx, id, change, &seen).await?))
}

/// Removes a connection; nobody signs in through it any more.
#[utoipa::path(delete, path = "/v1/sso-connections/{id}", tag = "single sign-on",
    params(("id" = SsoConnectionId, Path)),
    responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SsoConnectionId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
