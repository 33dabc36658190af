//! Room `tenancy`: what operators decide about a tenant, over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{TenantId, Timestamp};
use misy_web::{Operator, Params, PathId, Problem, Tagged, Valid};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Decided, GRACE_DAYS, Lifecycle, Report};
use super::service;
use crate::Deps;
use crate::tenants::http::{TenantView, by, tagged};
use crate::tenants::model::{self, Reason, Status};

/// The routes of what is decided about tenants.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(activate))
        .routes(routes!(suspend))
        .routes(routes!(close))
        .routes(routes!(restore))
        .routes(routes!(purge))
        .routes(routes!(get))
        .with_state(deps)
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = SuspendTenant)]
struct SuspendBody {
    /// Shown to the tenant.
    #[garde(skip)]
    reason: Reason,
    /// What there is to say to that, for operators.
    #[garde(inner(custom(by(model::check_text))))]
    #[schema(min_length = 1, max_length = 1000)]
    note: Option<String>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = CloseTenant)]
struct CloseBody {
    /// For so many days it can be restored; then everything of it is removed.
    #[garde(range(max = 3650))]
    #[serde(default = "grace_days")]
    #[schema(default = 30, maximum = 3650)]
    grace_days: u16,
    /// What there is to say to that, for operators.
    #[garde(inner(custom(by(model::check_text))))]
    #[schema(min_length = 1, max_length = 1000)]
    note: Option<String>,
}

fn grace_days() -> u16 {
    GRACE_DAYS
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PurgeParams {
    /// The tenant's slug, to show that this tenant is meant.
    #[param(min_length = 1, max_length = 63)]
    confirm: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantDecision)]
struct DecidedView {
    #[schema(example = "tenant.suspended")]
    action: String,
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Decided> for DecidedView {
    fn from(one: Decided) -> Self {
        Self { action: one.action, actor: one.actor, at: one.at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantLifecycle)]
struct LifecycleView {
    id: TenantId,
    status: Status,
    status_reason: Option<String>,
    status_note: Option<String>,
    /// When everything of it is removed, once it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    purge_at: Option<Timestamp>,
    /// When everything of it was removed.
    #[schema(value_type = Option<String>, format = DateTime)]
    purged_at: Option<Timestamp>,
    /// What was destroyed and what remains, once the removal began.
    report: Option<Report>,
    /// What was decided, newest first, up to 100.
    history: Vec<DecidedView>,
}

impl From<Lifecycle> for LifecycleView {
    fn from(one: Lifecycle) -> Self {
        Self {
            id: one.tenant.id,
            status: one.tenant.status,
            status_reason: one.tenant.status_reason,
            status_note: one.tenant.status_note,
            purge_at: one.tenant.purge_at,
            purged_at: one.tombstone.as_ref().and_then(|tombstone| tombstone.purged_at),
            report: one.tombstone.map(|tombstone| tombstone.report),
            history: one.history.into_iter().map(DecidedView::from).collect(),
        }
    }
}

/// Let a tenant work. One whose provisioning was interrupted is finished.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/activate", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = TenantView)))]
async fn activate(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Tagged<TenantView>, Problem> {
    Ok(tagged(service::activate(&deps, &ctx, id).await?))
}

/// Stop a tenant for a while; its requests are refused within a second. What its customers send is
/// kept and worked off when it is activated.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/suspend", tag = "tenants",
    params(("tenant" = TenantId, Path)), request_body = SuspendBody,
    responses((status = 200, body = TenantView)))]
async fn suspend(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    Valid(body): Valid<SuspendBody>,
) -> Result<Tagged<TenantView>, Problem> {
    let note = body.note.as_deref();
    Ok(tagged(service::suspend(&deps, &ctx, id, body.reason, note).await?))
}

/// End a tenant. It can be restored until its grace is over; then everything of it is removed.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/close", tag = "tenants",
    params(("tenant" = TenantId, Path)), request_body = CloseBody,
    responses((status = 200, body = TenantView)))]
async fn close(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    Valid(body): Valid<CloseBody>,
) -> Result<Tagged<TenantView>, Problem> {
    let note = body.note.as_deref();
    Ok(tagged(service::close(&deps, &ctx, id, body.grace_days, note).await?))
}

/// Take back that a tenant was closed: it stands again where it stood.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/restore", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = TenantView)))]
async fn restore(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Tagged<TenantView>, Problem> {
    Ok(tagged(service::restore(&deps, &ctx, id).await?))
}

/// Remove everything of a closed tenant without waiting for the end of its grace. This cannot be
/// taken back; `lifecycle` says when it is done.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = TenantId, Path), PurgeParams), responses((status = 202, body = TenantView)))]
async fn purge(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    Params(params): Params<PurgeParams>,
) -> Result<(StatusCode, Tagged<TenantView>), Problem> {
    let tenant = service::purge(&deps, &ctx, id, &params.confirm).await?;
    Ok((StatusCode::ACCEPTED, tagged(tenant)))
}

/// Read where a tenant stands, what was decided about it, and what was destroyed of it.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/lifecycle", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = LifecycleView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Json<LifecycleView>, Problem> {
    Ok(Json(service::show(&deps, &ctx, id).await?.into()))
}
