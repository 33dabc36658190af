//! Room `identity`: `/v1/roles`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use garde::Validate;
use misy_core::{Page, Permission, RoleId};
use misy_web::{IfMatch, MergePatch, Paging, PathId, Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{NewRole, RoleBook, RoleChange, TenantRole};
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .with_state(Arc::clone(deps))
}

/// A role and everything that it grants.
#[derive(Serialize, ToSchema)]
#[schema(as = Role)]
struct RoleBody {
    id: RoleId,
    /// The name that `role` of a user, API key or service account refers to.
    #[schema(example = "agent")]
    slug: String,
    /// The name as people read it.
    name: String,
    /// The role whose permissions it has as well.
    #[schema(required = true)]
    inherits: Option<String>,
    /// Everything it grants, its own and what it inherits.
    permissions: Vec<Permission>,
    /// What it grants beside what it inherits; empty for built-in roles.
    own_permissions: Vec<Permission>,
    /// Whether it is the same in every tenant and cannot be changed.
    built_in: bool,
}

fn view(role: TenantRole, book: &RoleBook) -> RoleBody {
    let permissions = book.grants(&role.slug).iter().collect();
    let TenantRole { id, slug, name, parent, own, built_in, .. } = role;
    RoleBody { id, slug, name, inherits: parent, permissions, own_permissions: own, built_in }
}

fn tagged((role, book): (TenantRole, RoleBook)) -> Tagged<RoleBody> {
    Tagged::new(role.version, view(role, &book))
}

/// The roles of the tenant; the built-in ones from the lowest up.
#[utoipa::path(get, path = "/v1/roles", tag = "users", params(Paging),
    responses((status = 200, description = "one page", body = Page<RoleBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<RoleBody>>, Problem> {
    let (page, book) = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(|role| view(role, &book))))
}

/// A role to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct CreateRole {
    /// By which users, keys and policies refer to it, for ever.
    #[schema(
        min_length = 1,
        max_length = 50,
        pattern = "^[a-z][a-z0-9_]*$",
        example = "shift_lead"
    )]
    slug: String,
    /// The name as people read it.
    #[schema(min_length = 1, max_length = 100, example = "Shift lead")]
    name: String,
    /// The slug of the role whose permissions it has as well; `viewer` if absent.
    #[schema(max_length = 50, example = "agent")]
    inherits: Option<String>,
    /// What it grants beside what it inherits.
    #[serde(default)]
    #[schema(max_items = 64)]
    permissions: Vec<Permission>,
}

/// Makes a role of the tenant's own. It grants no more than its maker has.
#[utoipa::path(post, path = "/v1/roles", tag = "users", request_body = CreateRole,
    responses((status = 201, description = "made", body = RoleBody)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<CreateRole>,
) -> Result<impl IntoResponse, Problem> {
    let CreateRole { slug, name, inherits, permissions } = body;
    let inherits = inherits.unwrap_or_else(|| misy_core::Role::Viewer.slug().to_owned());
    let new = NewRole { slug, name, inherits, permissions };
    Ok((StatusCode::CREATED, tagged(service::create(&deps, &ctx, new).await?)))
}

/// One role.
#[utoipa::path(get, path = "/v1/roles/{role}", tag = "users", params(("role" = RoleId, Path)),
    responses((status = 200, description = "the role", body = RoleBody)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<RoleId>,
) -> Result<Tagged<RoleBody>, Problem> {
    Ok(tagged(service::get(&deps, &ctx, id).await?))
}

/// What is to change; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[serde(deny_unknown_fields)]
struct UpdateRole {
    /// The name as people read it.
    #[schema(min_length = 1, max_length = 100, nullable = false)]
    name: Option<String>,
    /// The slug of the role whose permissions it has as well.
    #[schema(max_length = 50, nullable = false)]
    inherits: Option<String>,
    /// What it grants beside what it inherits.
    #[schema(max_items = 64, nullable = false)]
    permissions: Option<Vec<Permission>>,
}

/// Changes a role of the tenant's own. Whoever has it can do more or less within a second, without
/// signing in again.
#[utoipa::path(patch, path = "/v1/roles/{role}", tag = "users", params(("role" = RoleId, Path)),
    request_body = UpdateRole,
    responses((status = 200, description = "changed", body = RoleBody)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<RoleId>,
    seen: IfMatch,
    MergePatch(body): MergePatch<UpdateRole>,
) -> Result<Tagged<RoleBody>, Problem> {
    let UpdateRole { name, inherits, permissions } = body;
    let change = RoleChange { name, inherits, permissions };
    Ok(tagged(service::update(&deps, &ctx, id, &seen, change).await?))
}

/// Removes a role of the tenant's own that nobody has any more.
#[utoipa::path(delete, path = "/v1/roles/{role}", tag = "users", params(("role" = RoleId, Path)),
    responses((status = 204, description = "removed")))]
async fn delete(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<RoleId>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    service::delete(&deps, &ctx, id, &seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
