//! Room `identity`: `/access/v1/evaluation`, `/access/v1/evaluations`, `/access/v1/search/action`
//! and what announces them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use misy_core::Code;
use misy_web::{Problem, Raw, Tenant};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{self, Reason};
use super::service::{self, Answer, Decided};
use crate::Deps;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(evaluation))
        .routes(routes!(evaluations))
        .routes(routes!(search_actions))
        .routes(routes!(metadata))
        .with_state(Arc::clone(deps))
}

/// Why it was decided so.
#[derive(Serialize, ToSchema)]
struct EvaluationContext {
    reason: String,
    /// The ids of the policies that decided.
    policies: Vec<String>,
}

/// A decision.
#[derive(Serialize, ToSchema)]
struct Evaluation {
    decision: bool,
    context: EvaluationContext,
}

impl From<Decided> for Evaluation {
    fn from(one: Decided) -> Self {
        let Decided { allowed, reason, policies } = one;
        Self { decision: allowed, context: EvaluationContext { reason, policies } }
    }
}

/// One decision, or one for each evaluation in the order of the request.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Evaluations {
    Several { evaluations: Vec<Evaluation> },
    One(Evaluation),
}

/// Whether a body says that it is JSON.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Reason> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err("the content type has to be `application/json`".to_owned())
}

/// The specification wants 400 for whatever is wrong with a request.
pub(crate) fn refuse(reason: &str) -> Problem {
    Problem::new(Code::MalformedRequest).with_detail(format!("Not understood: {reason}."))
}

async fn answer(
    deps: &Deps,
    ctx: &misy_core::Ctx,
    headers: &HeaderMap,
    body: &[u8],
    several: bool,
) -> Result<Evaluations, Problem> {
    let batch = check_json(headers).and_then(|()| model::read(body, several));
    match service::evaluate(deps, ctx, batch).await? {
        Answer::One(decided) => Ok(Evaluations::One(decided.into())),
        Answer::Several(all) => {
            let evaluations = all.into_iter().map(Evaluation::from).collect();
            Ok(Evaluations::Several { evaluations })
        }
        Answer::Refused(reason) => Err(refuse(&reason)),
    }
}

/// Decides one question of an application of the tenant's own: `AuthZEN` Access Evaluation.
#[utoipa::path(post, path = "/access/v1/evaluation", tag = "decisions",
    request_body(content = Object, content_type = "application/json",
        description = "`subject` {type, id, properties?}, `action` {name, properties?}, \
                       `resource` {type, id, properties?}, `context`?"),
    responses((status = 200, description = "the decision", body = Evaluation)))]
async fn evaluation(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Evaluations>, Problem> {
    Ok(Json(answer(&deps, &ctx, &headers, &body, false).await?))
}

/// Decides several questions: `AuthZEN` Access Evaluations.
#[utoipa::path(post, path = "/access/v1/evaluations", tag = "decisions",
    request_body(content = Object, content_type = "application/json",
        description = "As for one, with what all share, and `evaluations`: a list of what differs; \
                       `options.evaluations_semantic`"),
    responses((status = 200, description = "the decisions", body = Evaluations)))]
async fn evaluations(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Evaluations>, Problem> {
    Ok(Json(answer(&deps, &ctx, &headers, &body, true).await?))
}

/// An action that may be done.
#[derive(Serialize, ToSchema)]
struct PermittedAction {
    name: String,
}

/// The actions that may be done, of those that the tenant declares.
#[derive(Serialize, ToSchema)]
struct PermittedActions {
    results: Vec<PermittedAction>,
}

/// Says what a subject may do with a resource: `AuthZEN` Action Search.
#[utoipa::path(post, path = "/access/v1/search/action", tag = "decisions",
    request_body(content = Object, content_type = "application/json",
        description = "`subject` {type, id, properties?}, `resource` {type, id, properties?}, \
                       `context`?"),
    responses((status = 200, description = "the actions", body = PermittedActions)))]
async fn search_actions(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<PermittedActions>, Problem> {
    let asked = check_json(&headers).and_then(|()| model::read_action_search(&body));
    let names = service::search_actions(&deps, &ctx, asked).await?;
    let results = names.map_err(|reason| refuse(&reason))?;
    let results = results.into_iter().map(|name| PermittedAction { name }).collect();
    Ok(Json(PermittedActions { results }))
}

/// Where decisions are made.
#[derive(Serialize, ToSchema)]
struct AuthzenMetadata {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_resource_endpoint: String,
    search_action_endpoint: String,
}

/// Announces the decision API: `AuthZEN` PDP metadata.
#[utoipa::path(get, path = "/.well-known/authzen-configuration", tag = "decisions",
    security(()), responses((status = 200, description = "the addresses", body = AuthzenMetadata)))]
async fn metadata(State(deps): State<Arc<Deps>>) -> Json<AuthzenMetadata> {
    let base = deps.config.issuer.trim_end_matches('/').to_owned();
    Json(AuthzenMetadata {
        access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
        search_subject_endpoint: format!("{base}/access/v1/search/subject"),
        search_resource_endpoint: format!("{base}/access/v1/search/resource"),
        search_action_endpoint: format!("{base}/access/v1/search/action"),
        policy_decision_point: base,
    })
}
