//! Room `identity`: `/v1/impersonations`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use misy_core::{ImpersonationId, OperatorId, Page, Role, Timestamp, UserId};
use misy_web::{Paging, PathId, Problem, Tenant};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Visit;
use super::service;
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end)).with_state(Arc::clone(deps))
}

/// A visit of an operator inside the tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Impersonation)]
struct VisitBody {
    id: ImpersonationId,
    operator_id: OperatorId,
    /// As whom; `null` for nobody in particular.
    #[schema(required = true)]
    user_id: Option<UserId>,
    role: Role,
    /// Whether nothing may be changed.
    read_only: bool,
    /// Why, as the operator said.
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it ends in any case.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Who ended it before its time.
    #[schema(required = true)]
    ended_by: Option<String>,
}

impl From<Visit> for VisitBody {
    fn from(visit: Visit) -> Self {
        let Visit { id, role, read_only, reason, started_at, expires_at, .. } = visit;
        let (operator_id, user_id) = (visit.operator, visit.user);
        let (ended_at, ended_by) = (visit.ended_at, visit.ended_by);
        Self {
            id,
            operator_id,
            user_id,
            role,
            read_only,
            reason,
            started_at,
            expires_at,
            ended_at,
            ended_by,
        }
    }
}

/// Which operators have been inside the tenant, and why; the latest first.
#[utoipa::path(get, path = "/v1/impersonations", tag = "single sign-on", params(Paging),
    responses((status = 200, description = "one page", body = Page<VisitBody>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
) -> Result<Json<Page<VisitBody>>, Problem> {
    let page = service::list(&deps, &ctx, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(VisitBody::from)))
}

/// Ends a visit. An owner of the tenant may end any, an operator their own.
#[utoipa::path(post, path = "/v1/impersonations/{id}/end", tag = "single sign-on",
    params(("id" = ImpersonationId, Path)),
    responses((status = 200, description = "ended", body = VisitBody)))]
async fn end(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<ImpersonationId>,
) -> Result<Json<VisitBody>, Problem> {
    Ok(Json(service::end(&deps, &ctx, id).await?.into()))
}
