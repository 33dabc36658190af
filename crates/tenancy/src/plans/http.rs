//! Room `tenancy`: `/v1/plans` and `/v1/tenants/{tenant}/plan-changes`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{TenantId, Timestamp};
use misy_web::{IfMatch, MergePatch, Operator, PathId, Problem, Tagged, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Change, Decision, NewPlan, Plan, Version};
use super::service;
use crate::Deps;
use crate::quotas::model::check as check_limits;
use crate::tenants::http::by;
use crate::tenants::model::check_text;

/// The routes of plans.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .routes(routes!(retire))
        .routes(routes!(list_changes, change))
        .with_state(deps)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
struct PlanView {
    #[schema(example = "standard")]
    id: String,
    name: String,
    /// What it allows now, by limit. One that is absent is none.
    limits: BTreeMap<String, i64>,
    /// What a new tenant begins with, by the part that makes it.
    starter: Map<String, Value>,
    /// Since when no tenant can get it any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    retired_at: Option<Timestamp>,
    version: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// What it allowed, allows and will allow, newest first; only of one plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<Vec<VersionView>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanVersion)]
struct VersionView {
    number: i32,
    limits: BTreeMap<String, i64>,
    #[schema(value_type = String, format = DateTime)]
    effective_from: Timestamp,
    /// When all tenants of the plan had it.
    #[schema(value_type = Option<String>, format = DateTime)]
    applied_at: Option<Timestamp>,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            id: plan.id,
            name: plan.name,
            limits: plan.limits,
            starter: plan.starter,
            retired_at: plan.retired_at,
            version: plan.version,
            created_at: plan.created_at,
            updated_at: plan.updated_at,
            versions: None,
        }
    }
}

impl From<Version> for VersionView {
    fn from(one: Version) -> Self {
        let Version { number, limits, effective_from, applied_at } = one;
        Self { number, limits, effective_from, applied_at }
    }
}

fn tagged(plan: Plan) -> Tagged<PlanView> {
    Tagged::new(plan.version, plan.into())
}

#[derive(Debug, Serialize, ToSchema)]
struct Plans {
    data: Vec<PlanView>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct NewPlanBody {
    /// 1 to 64 of a-z, 0-9, hyphens and underscores; cannot be changed.
    #[garde(skip)]
    #[schema(pattern = "^[a-z0-9_-]{1,64}$", example = "growth")]
    id: String,
    #[garde(custom(by(check_text)))]
    #[schema(min_length = 1, max_length = 200, example = "Growth")]
    name: String,
    /// How many of each; one that is absent is without limit.
    #[garde(custom(by(check_limits)))]
    #[schema(example = json!({"messages_per_month": 20000, "users": 10}))]
    limits: BTreeMap<String, i64>,
    /// What a new tenant begins with, by the part that makes it.
    #[garde(skip)]
    #[serde(default)]
    starter: Map<String, Value>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct PlanChangeBody {
    #[garde(inner(custom(by(check_text))))]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Replaces all of them, from `effective_from` on, for all tenants of the plan.
    #[garde(inner(custom(by(check_limits))))]
    limits: Option<BTreeMap<String, i64>>,
    /// Replaces all of it.
    #[garde(skip)]
    starter: Option<Map<String, Value>>,
    /// From when on the limits count; at once if it is absent.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Timestamp>,
}

/// List plans with what they allow now.
#[utoipa::path(get, path = "/v1/plans", tag = "plans", responses((status = 200, body = Plans)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
) -> Result<Json<Plans>, Problem> {
    let plans = service::list(&deps, &ctx).await?;
    Ok(Json(Plans { data: plans.into_iter().map(PlanView::from).collect() }))
}

/// Create a plan.
#[utoipa::path(post, path = "/v1/plans", tag = "plans", request_body = NewPlanBody,
    responses((status = 201, body = PlanView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Valid(body): Valid<NewPlanBody>,
) -> Result<(StatusCode, Tagged<PlanView>), Problem> {
    let NewPlanBody { id, name, limits, starter } = body;
    let plan = service::create(&deps, &ctx, NewPlan { id, name, limits, starter }).await?;
    Ok((StatusCode::CREATED, tagged(plan)))
}

/// Read a plan with its versions.
#[utoipa::path(get, path = "/v1/plans/{plan}", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, body = PlanView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Path(id): Path<String>,
) -> Result<Tagged<PlanView>, Problem> {
    let (plan, versions) = service::get(&deps, &ctx, &id).await?;
    let version = plan.version;
    let versions = versions.into_iter().map(VersionView::from).collect();
    Ok(Tagged::new(version, PlanView { versions: Some(versions), ..plan.into() }))
}

/// Change a plan. Other limits are another version, dated now or later.
#[utoipa::path(patch, path = "/v1/plans/{plan}", tag = "plans", params(("plan" = String, Path)),
    request_body = PlanChangeBody, responses((status = 200, body = PlanView)))]
async fn update(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Path(id): Path<String>,
    seen: IfMatch,
    MergePatch(body): MergePatch<PlanChangeBody>,
) -> Result<Tagged<PlanView>, Problem> {
    let PlanChangeBody { name, limits, starter, effective_from } = body;
    let change = Change { name, limits, starter, effective_from };
    Ok(tagged(service::update(&deps, &ctx, &id, change, &seen).await?))
}

/// Retire a plan: tenants that have it keep it, no other gets it.
#[utoipa::path(post, path = "/v1/plans/{plan}/retire", tag = "plans",
    params(("plan" = String, Path)), responses((status = 200, body = PlanView)))]
async fn retire(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Path(id): Path<String>,
) -> Result<Tagged<PlanView>, Problem> {
    Ok(tagged(service::retire(&deps, &ctx, &id).await?))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TenantPlanChange)]
struct DecisionView {
    plan: String,
    #[schema(value_type = String, format = DateTime)]
    effective_from: Timestamp,
    decided_by: String,
    #[schema(value_type = String, format = DateTime)]
    decided_at: Timestamp,
    /// When it came; null if it is still to come.
    #[schema(value_type = Option<String>, format = DateTime)]
    applied_at: Option<Timestamp>,
    /// When something else was decided before it came.
    #[schema(value_type = Option<String>, format = DateTime)]
    withdrawn_at: Option<Timestamp>,
}

impl From<Decision> for DecisionView {
    fn from(one: Decision) -> Self {
        let Decision { plan, effective_from, decided_by, decided_at, applied_at, withdrawn_at } =
            one;
        Self { plan, effective_from, decided_by, decided_at, applied_at, withdrawn_at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct TenantPlanChanges {
    /// Newest first, up to 100.
    data: Vec<DecisionView>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct TenantPlanChangeBody {
    /// The plan it is to have.
    #[garde(skip)]
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    plan: String,
    /// From when on; at once if it is absent.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Timestamp>,
}

/// List what was decided about a tenant's plan.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/plan-changes", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, body = TenantPlanChanges)))]
async fn list_changes(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<Json<TenantPlanChanges>, Problem> {
    let decisions = service::decisions(&deps, &ctx, id).await?;
    Ok(Json(TenantPlanChanges { data: decisions.into_iter().map(DecisionView::from).collect() }))
}

/// Give a tenant another plan, now or later. It replaces what was decided before and has not come.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/plan-changes", tag = "tenants",
    params(("tenant" = TenantId, Path)), request_body = TenantPlanChangeBody,
    responses((status = 201, body = DecisionView)))]
async fn change(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    Valid(body): Valid<TenantPlanChangeBody>,
) -> Result<(StatusCode, Json<DecisionView>), Problem> {
    let decided = service::decide(&deps, &ctx, id, &body.plan, body.effective_from).await?;
    Ok((StatusCode::CREATED, Json(decided.into())))
}
