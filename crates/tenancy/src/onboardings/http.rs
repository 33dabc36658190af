//! Room `tenancy`: `/v1/onboarding`.

use std::sync::Arc;

use axum::extract::State as Of;
use garde::Validate;
use misy_core::{OnboardingWorkflowId, Timestamp};
use misy_web::{Problem, Tagged, Tenant, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Onboarding, State};
use super::service;
use crate::Deps;
use crate::onboarding_workflows::model::{Check, StepDefinition};
use crate::tenants::http::by;
use crate::tenants::model::check_text;

/// The routes of onboarding.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show, fill_in))
        .routes(routes!(check))
        .routes(routes!(skip))
        .routes(routes!(reopen))
        .with_state(deps)
}

/// A step and where it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OnboardingStep)]
struct StepView {
    key: String,
    title: String,
    description: Option<String>,
    /// What has to be so before it is done.
    check: Check,
    /// At least so many of what is counted.
    min_count: u32,
    /// The steps that have to be done or skipped before.
    needs: Vec<String>,
    /// Whether somebody may skip it.
    may_skip: bool,
    /// The form: a JSON Schema (2020-12) of what is sent for it.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    state: State,
    /// Which steps have to be settled first.
    waits_for: Vec<String>,
    /// What was sent for it.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Why it was skipped.
    reason: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

/// Where a tenant stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Onboarding)]
struct OnboardingView {
    workflow_id: OnboardingWorkflowId,
    workflow_version: i64,
    title: String,
    /// In whole percent of the steps.
    progress: usize,
    /// The steps whose turn has come.
    next: Vec<String>,
    steps: Vec<StepView>,
    #[schema(value_type = String, format = DateTime)]
    began_at: Timestamp,
    /// When the last step was settled.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    version: i64,
}

fn step(of: &Onboarding, definition: &StepDefinition) -> StepView {
    let standing = of.standing(&definition.key);
    let waits_for = of.missing(definition);
    let StepDefinition { key, title, description, check, min_count, .. } = definition.clone();
    let StepDefinition { needs, may_skip, schema, .. } = definition.clone();
    StepView {
        key,
        title,
        description,
        check,
        min_count,
        needs,
        may_skip,
        schema,
        state: standing.state,
        waits_for,
        data: standing.data.clone(),
        reason: standing.reason.clone(),
        settled_at: standing.settled_at,
    }
}

fn view(one: &Onboarding) -> Tagged<OnboardingView> {
    let view = OnboardingView {
        workflow_id: one.workflow,
        workflow_version: one.workflow_version,
        title: one.title.clone(),
        progress: one.settled() * 100 / one.steps.len().max(1),
        next: one.next().into_iter().map(str::to_owned).collect(),
        steps: one.steps.iter().map(|definition| step(one, definition)).collect(),
        began_at: one.began_at,
        completed_at: one.completed_at,
        version: one.version,
    };
    Tagged::new(one.version, view)
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct FillInOnboardingStep {
    /// Which.
    #[garde(skip)]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,39}$", example = "business_profile")]
    step: String,
    /// What its form asks for.
    #[garde(skip)]
    data: Map<String, Value>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct ChosenOnboardingStep {
    /// Which.
    #[garde(skip)]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,39}$", example = "team")]
    step: String,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
struct SkipOnboardingStep {
    /// Which.
    #[garde(skip)]
    #[schema(pattern = "^[a-z][a-z0-9_]{0,39}$", example = "team")]
    step: String,
    /// Why.
    #[garde(inner(custom(by(check_text))))]
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
}

/// Read where one's own tenant stands. The first look begins it.
#[utoipa::path(get, path = "/v1/onboarding", tag = "onboarding",
    operation_id = "get_onboarding", responses((status = 200, body = OnboardingView)))]
async fn show(
    Of(deps): Of<Arc<Deps>>,
    Tenant(ctx): Tenant,
) -> Result<Tagged<OnboardingView>, Problem> {
    Ok(view(&service::show(&deps, &ctx).await?))
}

/// Send what a step's form asks for. The step is done if what it checks is so by now.
#[utoipa::path(put, path = "/v1/onboarding", tag = "onboarding",
    operation_id = "fill_in_onboarding_step", request_body = FillInOnboardingStep,
    responses((status = 200, body = OnboardingView),
        (status = 409, description = "Others come first.")))]
async fn fill_in(
    Of(deps): Of<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<FillInOnboardingStep>,
) -> Result<Tagged<OnboardingView>, Problem> {
    let data = Value::Object(body.data);
    Ok(view(&service::fill_in(&deps, &ctx, &body.step, data).await?))
}

/// Have a step checked. It is done if what it checks is so; else the answer says what is missing.
#[utoipa::path(post, path = "/v1/onboarding/check", tag = "onboarding",
    operation_id = "check_onboarding_step", request_body = ChosenOnboardingStep,
    responses((status = 200, body = OnboardingView),
        (status = 409, description = "It is not so yet, or others come first.")))]
async fn check(
    Of(deps): Of<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<ChosenOnboardingStep>,
) -> Result<Tagged<OnboardingView>, Problem> {
    Ok(view(&service::check(&deps, &ctx, &body.step).await?))
}

/// Leave a step out, if it may be.
#[utoipa::path(post, path = "/v1/onboarding/skip", tag = "onboarding",
    operation_id = "skip_onboarding_step", request_body = SkipOnboardingStep,
    responses((status = 200, body = OnboardingView),
        (status = 409, description = "It may not be left out, or others come first.")))]
async fn skip(
    Of(deps): Of<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<SkipOnboardingStep>,
) -> Result<Tagged<OnboardingView>, Problem> {
    Ok(view(&service::skip(&deps, &ctx, &body.step, body.reason).await?))
}

/// Open a step again, with all that need it. What was sent for them is kept.
#[utoipa::path(post, path = "/v1/onboarding/reopen", tag = "onboarding",
    operation_id = "reopen_onboarding_step", request_body = ChosenOnboardingStep,
    responses((status = 200, body = OnboardingView),
        (status = 409, description = "It is open.")))]
async fn reopen(
    Of(deps): Of<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<ChosenOnboardingStep>,
) -> Result<Tagged<OnboardingView>, Problem> {
    Ok(view(&service::reopen(&deps, &ctx, &body.step).await?))
}
