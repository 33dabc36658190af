//! Room `identity`: `/v1/decisions`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use misy_core::{DecisionId, Page, Timestamp};
use misy_web::{Paging, Params, Problem, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Decision;
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).with_state(Arc::clone(deps))
}

/// A decision that was written down.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision)]
struct DecisionBody {
    id: DecisionId,
    /// Who asked.
    principal: String,
    action: String,
    resource: String,
    allowed: bool,
    /// The ids of the policies that decided.
    policies: Vec<String>,
    /// Which version the tenant's policies had.
    policy_version: i64,
    /// Why, in a sentence.
    reason: String,
    request_id: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Decision> for DecisionBody {
    fn from(one: Decision) -> Self {
        Self {
            id: one.id,
            principal: one.principal,
            action: one.action,
            resource: one.resource,
            allowed: one.allowed,
            policies: one.policies,
            policy_version: one.policy_version,
            reason: one.reason,
            request_id: one.request_id,
            created_at: one.created_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DecisionFilter {
    /// Only those that allowed, or only those that denied.
    allowed: Option<bool>,
    /// Only those about this one.
    #[param(max_length = 500)]
    principal: Option<String>,
    /// Only those about this action.
    #[param(max_length = 500)]
    action: Option<String>,
}

/// What policies denied and every decision about something sensitive, newest first; kept for 90
/// days.
#[utoipa::path(get, path = "/v1/decisions", tag = "policies", params(Paging, DecisionFilter),
    responses((status = 200, description = "one page", body = Page<DecisionBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(filter): Params<DecisionFilter>,
) -> Result<Json<Page<DecisionBody>>, Problem> {
    let wanted = service::wanted(filter.allowed, filter.principal, filter.action);
    let page = service::list(&deps, &ctx, wanted, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(DecisionBody::from)))
}
