//! Room `integration`: replays of dead letters and of what an endpoint missed, as operations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::{DeliveryId, EndpointId, OperationId, SourceId, Timestamp};
use misy_web::{PathId, Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Progress, Scope, Status, Wish};
use super::service;
use crate::Deps;
use crate::sources::model::Stage;

/// The routes of replays.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(replay_missed))
        .routes(routes!(replay_dead))
        .routes(routes!(replay_received))
        .routes(routes!(get))
        .with_state(deps)
}

/// Long work that is under way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookReplay)]
struct OperationView {
    id: OperationId,
    status: Status,
    progress: ProgressView,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// How far it has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookReplayProgress)]
struct ProgressView {
    /// Events, dead letters or receipts that were looked at.
    looked_at: i64,
    /// Deliveries that were made of them, or receipts that are told again.
    replayed: i64,
}

impl From<Progress> for OperationView {
    fn from(it: Progress) -> Self {
        Self {
            id: it.id,
            status: it.status,
            progress: ProgressView { looked_at: it.looked_at, replayed: it.replayed },
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = ReplayMissed)]
#[serde(deny_unknown_fields)]
struct MissedBody {
    /// What happened at or after this.
    #[garde(skip)]
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// What happened before this; now if not given.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only events of this type.
    #[garde(inner(length(min = 3, max = 100)))]
    #[schema(min_length = 3, max_length = 100)]
    event_type: Option<String>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = ReplayDeadLetters)]
#[serde(deny_unknown_fields)]
struct DeadBody {
    /// Only this one.
    #[garde(skip)]
    id: Option<DeliveryId>,
    /// Only those to this endpoint.
    #[garde(skip)]
    endpoint_id: Option<EndpointId>,
    /// Only events of this type.
    #[garde(inner(length(min = 3, max = 100)))]
    #[schema(min_length = 3, max_length = 100)]
    event_type: Option<String>,
    /// Only deliveries that were begun at or after this.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only deliveries that were begun before this.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = ReplaySourceReceipts)]
#[serde(deny_unknown_fields)]
struct ReceivedBody {
    /// Only what was received from this source.
    #[garde(skip)]
    source_id: Option<SourceId>,
    /// Only what is in this state: `stored`, `forwarded` or `invalid`.
    #[garde(skip)]
    #[schema(inline)]
    status: Option<Stage>,
    /// Only what was received at or after this.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only what was received before this; before now if not given.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

type Accepted = (StatusCode, Json<OperationView>);

/// Deliver all that an endpoint missed since a time: whatever it wants, has not got and is kept.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/replay", tag = "webhook-endpoints",
    params(("endpoint" = EndpointId, Path)), request_body = MissedBody,
    responses((status = 202, body = OperationView)))]
async fn replay_missed(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(endpoint): PathId<EndpointId>,
    Valid(body): Valid<MissedBody>,
) -> Result<Accepted, Problem> {
    let until = body.until.unwrap_or_else(|| deps.ambient.now());
    let wish = Wish {
        endpoint: Some(endpoint),
        kind: body.event_type,
        since: Some(body.since),
        ..Wish::all(Scope::Missed, until)
    };
    Ok((StatusCode::ACCEPTED, Json(service::begin(&deps, &ctx, wish).await?.into())))
}

/// Deliver dead letters again: one, or those that a filter names, or all.
#[utoipa::path(post, path = "/v1/dead-letters/replay", tag = "dead-letters",
    request_body = DeadBody, responses((status = 202, body = OperationView)))]
async fn replay_dead(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<DeadBody>,
) -> Result<Accepted, Problem> {
    let DeadBody { id: only, endpoint_id: endpoint, event_type: kind, since, until } = body;
    let until = until.unwrap_or_else(|| deps.ambient.now());
    let wish = Wish { only, endpoint, kind, since, ..Wish::all(Scope::Dead, until) };
    Ok((StatusCode::ACCEPTED, Json(service::begin(&deps, &ctx, wish).await?.into())))
}

/// Have what was received from sources told again, by their settings of now: what a filter names,
/// or all. What was told before is told once more, as another event.
#[utoipa::path(post, path = "/v1/source-receipts/replay", tag = "sources",
    request_body = ReceivedBody, responses((status = 202, body = OperationView)))]
async fn replay_received(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<ReceivedBody>,
) -> Result<Accepted, Problem> {
    let ReceivedBody { source_id: source, status: stage, since, until } = body;
    let until = until.unwrap_or_else(|| deps.ambient.now());
    let wish = Wish { source, stage, since, ..Wish::all(Scope::Received, until) };
    Ok((StatusCode::ACCEPTED, Json(service::begin(&deps, &ctx, wish).await?.into())))
}

/// See how far a replay has come.
#[utoipa::path(get, path = "/v1/webhook-replays/{operation}", tag = "webhook-replays",
    params(("operation" = OperationId, Path)), responses((status = 200, body = OperationView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<OperationId>,
) -> Result<Json<OperationView>, Problem> {
    Ok(Json(service::get(&deps, &ctx, id).await?.into()))
}
