//! Room `identity`: `/v1/api-keys`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{ApiKeyId, Page, Permission, Role, Secret, Timestamp};
use misy_web::{Paging, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{ApiKey, prefix_of};
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
    /// The role whose permissions it has, if it was made with one.
    #[schema(required = true)]
    role: Option<Role>,
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
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            prefix: prefix_of(key.id),
            role: key.scope.role(),
            permissions: key.scope.grants().iter().collect(),
            status: if key.revoked { KeyStatus::Revoked } else { KeyStatus::Active },
            name: key.name,
            created_by: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
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
    /// The key may do what this role may.
    role: Option<Role>,
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
    let CreateApiKey { name, role, permissions, expires_at } = body;
    let new = NewKey { name, role, permissions, expires_at };
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

/// Gives a key another secret; the old one stops working within a second.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", tag = "api keys",
    params(("id" = ApiKeyId, Path)),
    responses((status = 200, description = "the key with its new secret", body = NewApiKey)))]
async fn rotate(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ApiKeyId>,
) -> Result<Tagged<NewApiKey>, Problem> {
    Ok(shown(service::rotate(&deps, &ctx, id).await?))
}
