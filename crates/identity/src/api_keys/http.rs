//! Room `identity`: `/v1/api-keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{ApiKeyId, Page, Permission, Secret, ServiceAccountId, Timestamp};
use misy_web::{Paging, Params, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{ApiKey, Mode, OVERLAP_MAX_S, prefix_of};
use super::service::{self, NewKey};
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, revoke))
        .routes(routes!(rotate))
        .with_state(Arc::clone(deps))
}

/// Whether a key can be used.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KeyStatus {
    Active,
    Revoked,
}

/// A key of a program.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct ApiKeyBody {
    id: ApiKeyId,
    name: String,
    /// The beginning of the key, by which it can be recognised.
    prefix: String,
    mode: Mode,
    /// The role whose permissions it has, if it was made with one.
    #[schema(required = true)]
    role: Option<String>,
    /// The service account that it belongs to, and with which it lives and dies.
    #[schema(required = true)]
    service_account_id: Option<ServiceAccountId>,
    /// Everything it may do.
    permissions: Vec<Permission>,
    status: KeyStatus,
    /// Who made it.
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Exact to a minute.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// Until when the secret before the last rotation works.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    overlap_until: Option<Timestamp>,
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            prefix: prefix_of(key.mode, key.id),
            mode: key.mode,
            role: key.scope.role().map(str::to_owned),
            service_account_id: key.account,
            permissions: key.grants.iter().collect(),
            status: if key.revoked { KeyStatus::Revoked } else { KeyStatus::Active },
            name: key.name,
            created_by: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            overlap_until: key.overlap_until,
        }
    }
}

/// A key with its secret, which is shown only this once.
#[derive(Serialize, ToSchema)]
struct NewApiKey {
    #[serde(flatten)]
    key: ApiKeyBody,
    /// The credential: send it as `Authorization: Bearer`. It is kept nowhere.
    #[schema(example = "mb_live_01k8zq5m3ge0r8v0w1x2y3z4a5...")]
    secret: String,
}

fn shown((key, secret): (ApiKey, Secret)) -> Tagged<NewApiKey> {
    let secret = secret.expose().to_owned();
    Tagged::new(key.version, NewApiKey { key: key.into(), secret })
}

/// A key to be made, with a role or with permissions.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct CreateApiKey {
    /// What it is for.
    #[schema(min_length = 1, max_length = 200, example = "shop backend")]
    name: String,
    /// `test` keys do the same, but never send anything to a customer; `live` if absent.
    #[schema(nullable = false)]
    mode: Option<Mode>,
    /// The key may do what this role may: the slug of a built-in one or of the tenant's own.
    #[schema(max_length = 50, pattern = "^[a-z][a-z0-9_]*$", example = "agent")]
    role: Option<String>,
    /// The account that the key belongs to. Without a role and permissions it may do what the
    /// account may, else no more than that.
    service_account_id: Option<ServiceAccountId>,
    /// The key may do exactly this.
    #[schema(max_items = 64)]
    permissions: Option<Vec<Permission>>,
    /// When it stops working; never if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// The tenant's keys, oldest first, revoked ones included.
#[utoipa::path(get, path = "/v1/api-keys", tag = "api keys", params(Paging),
    responses((status = 200, description = "one page", body = Page<ApiKeyBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<ApiKeyBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(ApiKeyBody::from)))
}

/// Makes a key. It can do no more than whoever makes it.
#[utoipa::path(post, path = "/v1/api-keys", tag = "api keys", request_body = CreateApiKey,
    responses((status = 201, description = "made", body = NewApiKey)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateApiKey>,
) -> Result<impl IntoResponse, Problem> {
    let CreateApiKey { name, mode, role, service_account_id, permissions, expires_at } = body;
    let (mode, account) = (mode.unwrap_or(Mode::Live), service_account_id);
    let new = NewKey { name, mode, role, permissions, account, expires_at };
    Ok((StatusCode::CREATED, shown(service::create(&deps, &ctx, new).await?)))
}

/// One key.
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "api keys", params(("id" = ApiKeyId, Path)),
    responses((status = 200, description = "the key", body = ApiKeyBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Tagged<ApiKeyBody>, Problem> {
    let key = service::get(&deps, &ctx, id).await?;
    Ok(Tagged::new(key.version, key.into()))
}

/// Revokes a key, for good. It stops working within a second.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "api keys",
    params(("id" = ApiKeyId, Path)), responses((status = 204, description = "revoked")))]
async fn revoke(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ApiKeyId>,
) -> Result<StatusCode, Problem> {
    service::revoke(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Overlap {
    /// How many seconds the old secret goes on working, so that programs can be given the new one
    /// without a gap; 0 if not given.
    #[param(minimum = 0, maximum = 604_800, default = 0)]
    overlap_s: Option<u32>,
}

/// Gives a key another secret. The old one stops working within a second, or after the overlap.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", tag = "api keys",
    params(("id" = ApiKeyId, Path), Overlap),
    responses((status = 200, description = "the key with its new secret", body = NewApiKey)))]
async fn rotate(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ApiKeyId>,
    Params(overlap): Params<Overlap>,
) -> Result<Tagged<NewApiKey>, Problem> {
    let overlap_s = overlap.overlap_s.unwrap_or(0).min(OVERLAP_MAX_S);
    Ok(shown(service::rotate(&deps, &ctx, id, overlap_s).await?))
}
