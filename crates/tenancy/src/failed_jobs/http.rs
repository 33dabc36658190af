//! Room `tenancy`: `/v1/failed-jobs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use misy_core::{JobId, Page, Timestamp};
use misy_jobs::dead_letters::{DeadLetter, Reason};
use misy_web::{Paging, PathId, Problem, Tenant};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::Deps;

/// The routes of failed jobs.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(replay)).with_state(deps)
}

/// How the last attempt ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FailedJobReason)]
enum ReasonView {
    /// It failed; the operator's log says why.
    Failed,
    /// It ended without a result of its own.
    Panicked,
    /// It took too long.
    TimedOut,
    /// The processes that ran it went away.
    Abandoned,
}

/// A job that gave up. What it works on is not shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailedJob)]
struct FailedJobView {
    id: JobId,
    /// Which job.
    #[schema(example = "conversation.messages.deliver")]
    name: String,
    /// How often it was tried.
    attempts: i32,
    reason: ReasonView,
    #[schema(value_type = String, format = DateTime)]
    failed_at: Timestamp,
}

fn view(letter: DeadLetter) -> FailedJobView {
    let reason = match letter.reason() {
        Reason::Failed => ReasonView::Failed,
        Reason::Panicked => ReasonView::Panicked,
        Reason::TimedOut => ReasonView::TimedOut,
        Reason::Abandoned => ReasonView::Abandoned,
    };
    let DeadLetter { id, name, attempts, died_at, .. } = letter;
    FailedJobView { id, name, attempts, reason, failed_at: died_at }
}

/// List jobs that gave up, newest first.
#[utoipa::path(get, path = "/v1/failed-jobs", tag = "jobs", operation_id = "list_failed_jobs",
    params(Paging), responses((status = 200, body = Page<FailedJobView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Paging { limit, cursor }: Paging,
) -> Result<Json<Page<FailedJobView>>, Problem> {
    Ok(Json(service::list(&deps, &ctx, cursor, limit).await?.map(view)))
}

/// Have a job that gave up run again.
#[utoipa::path(post, path = "/v1/failed-jobs/{job}/replay", tag = "jobs",
    operation_id = "replay_failed_job", params(("job" = JobId, Path)),
    responses((status = 202, description = "It runs again soon.")))]
async fn replay(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<JobId>,
) -> Result<StatusCode, Problem> {
    service::replay(&deps, &ctx, id).await?;
    Ok(StatusCode::ACCEPTED)
}
