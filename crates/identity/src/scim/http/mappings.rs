//! Room `identity`: `/v1/scim/role-mappings`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use garde::Validate;
use misy_core::Role;
use misy_web::{Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Deps;
use crate::scim::model::groups::Mapping;
use crate::scim::service::roles as service;

pub(super) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list, replace)).with_state(Arc::clone(deps))
}

/// Members of the group get the role.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct ScimRoleMapping {
    /// The name of the group, as the directory writes it; case does not matter.
    #[schema(min_length = 1, max_length = 200, example = "Support team")]
    group: String,
    /// Any role but `owner`.
    role: Role,
}

/// Which group stands for which role.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct ScimRoleMappings {
    /// Of several groups of one person the highest role counts.
    #[garde(dive)]
    #[schema(max_items = 200)]
    mappings: Vec<ScimRoleMapping>,
}

fn shown(mappings: Vec<Mapping>) -> Json<ScimRoleMappings> {
    let mappings =
        mappings.into_iter().map(|Mapping { group, role }| ScimRoleMapping { group, role });
    Json(ScimRoleMappings { mappings: mappings.collect() })
}

/// Which group of the directory stands for which role.
#[utoipa::path(get, path = "/v1/scim/role-mappings", tag = "scim",
    responses((status = 200, description = "all of them", body = ScimRoleMappings)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
) -> Result<Json<ScimRoleMappings>, Problem> {
    Ok(shown(service::list(&deps, &ctx).await?))
}

/// Replaces all of them. Everybody's role follows at once.
#[utoipa::path(put, path = "/v1/scim/role-mappings", tag = "scim",
    request_body = ScimRoleMappings,
    responses((status = 200, description = "kept", body = ScimRoleMappings)))]
async fn replace(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<ScimRoleMappings>,
) -> Result<Json<ScimRoleMappings>, Problem> {
    let mappings =
        body.mappings.into_iter().map(|ScimRoleMapping { group, role }| Mapping { group, role });
    Ok(shown(service::replace(&deps, &ctx, mappings.collect()).await?))
}
