//! Room `tenancy`: `/v1/tenants/{tenant}/provisioning`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as SentEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use misy_core::{PlatformCtx, TenantId, Timestamp};
use misy_web::{Operator, Params, PathId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Plan, Provisioning, StepShown};
use super::service;
use crate::Deps;

/// The routes of provisionings.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(get))
        .routes(routes!(retry))
        .routes(routes!(plan))
        .with_state(deps)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProvisioningStep)]
struct StepView {
    #[schema(example = "identity.people")]
    name: String,
    /// `waiting`, `failing`, `done`, `undone` or `stuck`.
    state: String,
    /// Tries that failed.
    attempts: i32,
    /// What the last of them said.
    error: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<StepShown> for StepView {
    fn from(step: StepShown) -> Self {
        let StepShown { name, state, attempts, error, ended_at } = step;
        Self { name, state, attempts, error, ended_at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provisioning)]
struct ProvisioningView {
    /// `making` or `removal`.
    kind: String,
    /// `doing`, `done`, `undoing`, `undone` or `parked`.
    state: String,
    /// In the order of making; a removal takes them from the last to the first.
    steps: Vec<StepView>,
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl From<Provisioning> for ProvisioningView {
    fn from(one: Provisioning) -> Self {
        Self {
            kind: one.kind.to_owned(),
            state: one.state.to_owned(),
            steps: one.steps.into_iter().map(StepView::from).collect(),
            began_at: one.began_at,
            changed_at: one.changed_at,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Provisionings {
    /// The making, and the removal once that began.
    data: Vec<ProvisioningView>,
}

impl From<Vec<Provisioning>> for Provisionings {
    fn from(found: Vec<Provisioning>) -> Self {
        Self { data: found.into_iter().map(ProvisioningView::from).collect() }
    }
}

/// Read how far the making or the removal of a tenant is, step by step. Who accepts
/// `text/event-stream` is sent an event `provisioning`, with the same as its data, at each change,
/// until it is over.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/provisioning", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 200, content(
        (Provisionings = "application/json"), (String = "text/event-stream")))))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = service::progress(&deps, &ctx, id).await?;
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/event-stream")) {
        return Ok(Json(Provisionings::from(found)).into_response());
    }
    let watch = Watch { deps, ctx, id, shown: String::new(), looks_left: LOOKS_MAX };
    let changes = stream::unfold(Some(watch), |watch| async move { watch?.next().await });
    Ok(Sse::new(changes).keep_alive(KeepAlive::default()).into_response())
}

/// How often a watched tenant is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whoever still watches after ten minutes asks again, as clients of such streams do.
const LOOKS_MAX: u32 = 1_200;

/// Somebody who watches.
struct Watch {
    deps: Arc<Deps>,
    ctx: PlatformCtx,
    id: TenantId,
    /// What they were shown last.
    shown: String,
    looks_left: u32,
}

impl Watch {
    /// The next change, and whoever goes on watching after it. An error ends the stream; the next
    /// request is told which.
    async fn next(mut self) -> Option<(Result<SentEvent, Infallible>, Option<Self>)> {
        loop {
            self.looks_left = self.looks_left.checked_sub(1)?;
            let found = service::progress(&self.deps, &self.ctx, self.id).await.ok()?;
            let is_over = found.iter().all(|one| !matches!(one.state, "doing" | "undoing"));
            let text = serde_json::to_string(&Provisionings::from(found)).ok()?;
            if text != self.shown {
                let event = SentEvent::default().event("provisioning").data(&text);
                self.shown = text;
                return Some((Ok(event), (!is_over).then_some(self)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Have a step tried again that could not be undone, once what kept it is mended.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/provisioning/retry", tag = "tenants",
    params(("tenant" = TenantId, Path)), responses((status = 204)))]
async fn retry(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<TenantId>,
) -> Result<StatusCode, Problem> {
    service::retry(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PlanParams {
    /// For which plan.
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    plan: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct LimitView {
    name: String,
    max_count: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProvisioningPlan)]
struct PlanView {
    /// What would be done, in order.
    steps: Vec<String>,
    /// The channels that there would be from the start.
    #[schema(example = json!(["webchat"]))]
    channels: Vec<String>,
    /// The limits that would be in force.
    limits: Vec<LimitView>,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        let limit = |(name, max_count)| LimitView { name, max_count };
        Self {
            steps: plan.steps.into_iter().map(str::to_owned).collect(),
            channels: plan.channels,
            limits: plan.limits.into_iter().map(limit).collect(),
        }
    }
}

/// Read what would be made for a new tenant of a plan, without making it.
#[utoipa::path(get, path = "/v1/tenant-provisioning", tag = "tenants", params(PlanParams),
    responses((status = 200, body = PlanView)))]
async fn plan(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Params(params): Params<PlanParams>,
) -> Result<Json<PlanView>, Problem> {
    Ok(Json(service::plan(&deps, &ctx, &params.plan).await?.into()))
}
