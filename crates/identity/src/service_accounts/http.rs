//! Room `identity`: `/v1/service-accounts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{Page, Permission, ServiceAccountId, Timestamp};
use misy_web::{IfMatch, MergePatch, Paging, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{AccountChange, NewAccount, ServiceAccount};
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .with_state(Arc::clone(deps))
}

/// Whether the keys of an account work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ServiceAccountStatus {
    Active,
    Disabled,
}

/// A program of the tenant; keys are made for it at `/v1/api-keys`.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceAccount)]
struct AccountBody {
    id: ServiceAccountId,
    name: String,
    description: String,
    /// The role whose permissions it has, if it was made with one.
    #[schema(required = true)]
    role: Option<String>,
    /// Everything it may do; a key of it may do no more.
    permissions: Vec<Permission>,
    status: ServiceAccountStatus,
    /// Who made it.
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<ServiceAccount> for AccountBody {
    fn from(account: ServiceAccount) -> Self {
        let active = !account.disabled;
        Self {
            id: account.id,
            role: account.scope.role().map(str::to_owned),
            permissions: account.grants.iter().collect(),
            status: if active {
                ServiceAccountStatus::Active
            } else {
                ServiceAccountStatus::Disabled
            },
            name: account.name,
            description: account.description,
            created_by: account.created_by,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

fn tagged(account: ServiceAccount) -> Tagged<AccountBody> {
    Tagged::new(account.version, account.into())
}

/// The tenant's service accounts, oldest first, disabled ones included.
#[utoipa::path(get, path = "/v1/service-accounts", tag = "api keys", params(Paging),
    responses((status = 200, description = "one page", body = Page<AccountBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<AccountBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(AccountBody::from)))
}

/// An account to be made, with a role or with permissions.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct CreateServiceAccount {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200, example = "shop backend")]
    name: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    description: String,
    /// It may do what this role may: the slug of a built-in one or of the tenant's own.
    #[schema(max_length = 50, pattern = "^[a-z][a-z0-9_]*$", example = "agent")]
    role: Option<String>,
    /// It may do exactly this.
    #[schema(max_items = 64)]
    permissions: Option<Vec<Permission>>,
}

/// Makes a service account. It can do no more than whoever makes it.
#[utoipa::path(post, path = "/v1/service-accounts", tag = "api keys",
    request_body = CreateServiceAccount,
    responses((status = 201, description = "made", body = AccountBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateServiceAccount>,
) -> Result<impl IntoResponse, Problem> {
    let CreateServiceAccount { name, description, role, permissions } = body;
    let new = NewAccount { name, description, role, permissions };
    Ok((StatusCode::CREATED, tagged(service::create(&deps, &ctx, new).await?)))
}

/// One service account.
#[utoipa::path(get, path = "/v1/service-accounts/{account}", tag = "api keys",
    params(("account" = ServiceAccountId, Path)),
    responses((status = 200, description = "the account", body = AccountBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ServiceAccountId>,
) -> Result<Tagged<AccountBody>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct UpdateServiceAccount {
    /// What it is called.
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    name: Option<String>,
    /// What it is for.
    #[schema(max_length = 1_000, nullable = false)]
    description: Option<String>,
    /// It may do what this role may, instead of what it may now.
    #[schema(max_length = 50, pattern = "^[a-z][a-z0-9_]*$", nullable = false)]
    role: Option<String>,
    /// It may do exactly this, instead of what it may now.
    #[schema(max_items = 64, nullable = false)]
    permissions: Option<Vec<Permission>>,
    /// `disabled`: all its keys stop working within a second; `active`: they work again.
    #[schema(nullable = false)]
    status: Option<ServiceAccountStatus>,
}

/// Changes a service account. Its keys follow within a second.
#[utoipa::path(patch, path = "/v1/service-accounts/{account}", tag = "api keys",
    params(("account" = ServiceAccountId, Path)), request_body = UpdateServiceAccount,
    responses((status = 200, description = "changed", body = AccountBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ServiceAccountId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdateServiceAccount>,
) -> Result<Tagged<AccountBody>, Problem> {
    let UpdateServiceAccount { name, description, role, permissions, status } = body;
    let disabled = status.map(|status| status == ServiceAccountStatus::Disabled);
    let change = AccountChange { name, description, role, permissions, disabled };
    Ok(tagged(service::update(&deps, &ctx, id, &seen, change).await?))
}

/// Removes a service account with its keys, which stop working within a second.
#[utoipa::path(delete, path = "/v1/service-accounts/{account}", tag = "api keys",
    params(("account" = ServiceAccountId, Path)),
    responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ServiceAccountId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
