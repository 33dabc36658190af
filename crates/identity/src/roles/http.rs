//! Room `identity`: `/v1/roles`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use misy_core::{Page, Permission, RoleId};
use misy_web::{Paging, Problem, Tenant};
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::TenantRole;
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).with_state(Arc::clone(deps))
}

/// A role and everything that it grants.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Role)]
struct RoleBody {
    id: RoleId,
    /// The name that `role` of a user or API key refers to.
    #[schema(example = "agent")]
    slug: String,
    /// The name as people read it.
    name: String,
    /// The role whose permissions it has as well.
    #[schema(required = true)]
    inherits: Option<String>,
    /// Everything it grants, its own and what it inherits.
    permissions: Vec<Permission>,
    /// Whether it is the same in every tenant and cannot be changed.
    built_in: bool,
}

impl From<TenantRole> for RoleBody {
    fn from(role: TenantRole) -> Self {
        let permissions = role.grants().iter().collect();
        let TenantRole { id, slug, name, parent, built_in, .. } = role;
        Self { id, slug, name, inherits: parent, permissions, built_in }
    }
}

/// The roles of the tenant; the built-in ones from the lowest up.
#[utoipa::path(get, path = "/v1/roles", tag = "users", params(Paging),
    responses((status = 200, description = "one page", body = Page<RoleBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<RoleBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(RoleBody::from)))
}
