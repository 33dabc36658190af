//! Room `tenancy`: `/v1/onboarding-workflows`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{OnboardingWorkflowId, Timestamp};
use misy_web::{IfMatch, Operator, PathId, Problem, Tagged, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{StepDefinition, Workflow};
use super::service;
use crate::Deps;
use crate::tenants::http::by;
use crate::tenants::model::check_text;

/// The routes of workflows.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, replace, remove))
        .with_state(deps)
}

/// A workflow that tenants are led through.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OnboardingWorkflow)]
struct WorkflowView {
    id: OnboardingWorkflowId,
    /// Plans name it by this, in `starter.onboarding`; `default` is for all others.
    slug: String,
    title: String,
    /// Goes up with every change; a tenant keeps the one that it began with.
    version: i64,
    steps: Vec<StepDefinition>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

fn view(one: Workflow) -> WorkflowView {
    let Workflow { id, version, slug, title, steps, created_at } = one;
    WorkflowView { id, slug, title, version, steps, created_at }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OnboardingWorkflows)]
struct Workflows {
    data: Vec<WorkflowView>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = NewOnboardingWorkflow)]
struct NewBody {
    /// Plans name it by this.
    #[garde(skip)]
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,39}$", example = "shops")]
    slug: String,
    #[garde(custom(by(check_text)))]
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// In the order in which they are shown.
    #[garde(skip)]
    #[schema(min_items = 1, max_items = 50)]
    steps: Vec<StepDefinition>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = ReplaceOnboardingWorkflow)]
struct ReplaceBody {
    #[garde(custom(by(check_text)))]
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// All of them, in place of those of the version before.
    #[garde(skip)]
    #[schema(min_items = 1, max_items = 50)]
    steps: Vec<StepDefinition>,
}

/// List workflows, each in its newest version.
#[utoipa::path(get, path = "/v1/onboarding-workflows", tag = "onboarding",
    operation_id = "list_onboarding_workflows", responses((status = 200, body = Workflows)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
) -> Result<Json<Workflows>, Problem> {
    let all = service::list(&deps, &ctx).await?;
    Ok(Json(Workflows { data: all.into_iter().map(view).collect() }))
}

/// Write a workflow of one's own.
#[utoipa::path(post, path = "/v1/onboarding-workflows", tag = "onboarding",
    operation_id = "create_onboarding_workflow", request_body = NewBody,
    responses((status = 201, body = WorkflowView)))]
async fn create(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    Valid(body): Valid<NewBody>,
) -> Result<(StatusCode, Tagged<WorkflowView>), Problem> {
    let NewBody { slug, title, steps } = body;
    let new = service::create(&deps, &ctx, slug, title, steps).await?;
    Ok((StatusCode::CREATED, Tagged::new(new.version, view(new))))
}

/// Read a workflow.
#[utoipa::path(get, path = "/v1/onboarding-workflows/{workflow}", tag = "onboarding",
    operation_id = "get_onboarding_workflow", params(("workflow" = OnboardingWorkflowId, Path)),
    responses((status = 200, body = WorkflowView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<OnboardingWorkflowId>,
) -> Result<Tagged<WorkflowView>, Problem> {
    let found = service::get(&deps, &ctx, id).await?;
    Ok(Tagged::new(found.version, view(found)))
}

/// Write another version of a workflow. Tenants that have begun keep theirs.
#[utoipa::path(put, path = "/v1/onboarding-workflows/{workflow}", tag = "onboarding",
    operation_id = "replace_onboarding_workflow",
    params(("workflow" = OnboardingWorkflowId, Path)), request_body = ReplaceBody,
    responses((status = 200, body = WorkflowView)))]
async fn replace(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<OnboardingWorkflowId>,
    seen: IfMatch,
    Valid(body): Valid<ReplaceBody>,
) -> Result<Tagged<WorkflowView>, Problem> {
    let new = service::replace(&deps, &ctx, id, (body.title, body.steps), &seen).await?;
    Ok(Tagged::new(new.version, view(new)))
}

/// End a workflow: no other tenant begins it.
#[utoipa::path(delete, path = "/v1/onboarding-workflows/{workflow}", tag = "onboarding",
    operation_id = "delete_onboarding_workflow",
    params(("workflow" = OnboardingWorkflowId, Path)),
    responses((status = 204, description = "Ended.")))]
async fn remove(
    State(deps): State<Arc<Deps>>,
    Operator(ctx): Operator,
    PathId(id): PathId<OnboardingWorkflowId>,
) -> Result<StatusCode, Problem> {
    service::remove(&deps, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
