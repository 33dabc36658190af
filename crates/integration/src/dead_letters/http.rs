//! Room `integration`: `/v1/dead-letters`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use misy_core::{Code, DeliveryId, EndpointId, EventId, Page, Timestamp};
use misy_web::{Paging, Params, PathId, Problem, Tenant};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::DeadLetter;
use super::service;
use crate::Deps;

/// The routes of dead letters.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, forget)).with_state(deps)
}

/// A delivery that was given up, until it is replayed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct LetterView {
    /// The delivery.
    id: DeliveryId,
    event_id: EventId,
    event_type: String,
    endpoint_id: EndpointId,
    reason: String,
    attempts: i16,
    #[schema(value_type = String, format = DateTime)]
    died_at: Timestamp,
}

impl From<DeadLetter> for LetterView {
    fn from(it: DeadLetter) -> Self {
        Self {
            id: it.id,
            event_id: it.event,
            event_type: it.kind,
            endpoint_id: it.endpoint,
            reason: it.reason,
            attempts: it.attempts,
            died_at: it.died_at,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only those to this endpoint.
    endpoint_id: Option<EndpointId>,
}

/// List deliveries that were given up, newest first.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead-letters", params(Paging, Query),
    responses((status = 200, body = Page<LetterView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(query): Params<Query>,
) -> Result<Json<Page<LetterView>>, Problem> {
    let page = service::list(&deps, &ctx, query.endpoint_id, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(Into::into)))
}

/// Read one.
#[utoipa::path(get, path = "/v1/dead-letters/{delivery}", tag = "dead-letters",
    params(("delivery" = DeliveryId, Path)), responses((status = 200, body = LetterView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<LetterView>, Problem> {
    let found = service::find(&deps, &ctx, id).await?;
    found.map(|letter| Json(letter.into())).ok_or_else(|| Problem::new(Code::NotFound))
}

/// Forget one, so that it is not replayed with others. The delivery stays in the log.
#[utoipa::path(delete, path = "/v1/dead-letters/{delivery}", tag = "dead-letters",
    params(("delivery" = DeliveryId, Path)), responses((status = 204)))]
async fn forget(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DeliveryId>,
) -> Result<StatusCode, Problem> {
    let there = service::forget(&deps, &ctx, id).await?;
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::new(Code::NotFound)) }
}
