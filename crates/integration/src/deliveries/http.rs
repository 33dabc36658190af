//! Room `integration`: `/v1/webhook-deliveries`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use misy_core::{Code, DeliveryId, EndpointId, EventId, Page, Timestamp};
use misy_web::{Paging, Params, PathId, Problem, Tenant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Attempt, Delivery, Filter, Status};
use super::service::{self, Repeated, Sent};
use crate::Deps;

/// The routes of deliveries.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(retry))
        .with_state(deps)
}

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView {
    id: DeliveryId,
    /// Also the `webhook-id` that the receiver sees.
    event_id: EventId,
    /// `null` if the event was dropped with its day.
    event_type: Option<String>,
    endpoint_id: EndpointId,
    replay_of: Option<DeliveryId>,
    status: Status,
    attempts: i16,
    last_status: Option<i16>,
    last_error: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryView {
    fn from(it: Delivery) -> Self {
        Self {
            id: it.id,
            event_id: it.event,
            event_type: it.kind,
            endpoint_id: it.endpoint,
            replay_of: it.replay_of,
            status: it.status,
            attempts: it.attempts,
            last_status: it.last_status,
            last_error: it.last_error,
            next_attempt_at: it.next_attempt_at,
            ended_at: it.ended_at,
        }
    }
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
struct AttemptView {
    number: i16,
    /// `null` if there was no answer.
    status: Option<i16>,
    elapsed_ms: i32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Where it went and with which headers; secret ones without their values.
    #[schema(value_type = Object)]
    request: Value,
    #[schema(value_type = Option<Object>)]
    response_headers: Option<Value>,
    /// The beginning of the answer's body.
    response_body: Option<String>,
    error: Option<String>,
    /// The address that the connection had.
    address: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(it: Attempt) -> Self {
        Self {
            number: it.number,
            status: it.status,
            elapsed_ms: it.elapsed_ms,
            started_at: it.started_at,
            request: it.request,
            response_headers: it.response_headers,
            response_body: it.response_body,
            error: it.error,
            address: it.address,
        }
    }
}

/// A delivery with all its tries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryWithAttempts)]
struct WholeView {
    #[serde(flatten)]
    delivery: DeliveryView,
    attempt_log: Vec<AttemptView>,
}

/// What was sent past the queue, and what came back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTest)]
pub(crate) struct SentView {
    #[serde(flatten)]
    attempt: AttemptView,
    /// The body that was sent.
    request_body: String,
}

impl From<Sent> for SentView {
    fn from(sent: Sent) -> Self {
        let request_body = sent.request_body.clone();
        Self { attempt: sent.attempt(1).into(), request_body }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only those to this endpoint.
    endpoint_id: Option<EndpointId>,
    /// Only those of this event.
    event_id: Option<EventId>,
    /// Only those that are so far.
    #[param(inline)]
    status: Option<Status>,
}

/// List deliveries, newest first.
#[utoipa::path(get, path = "/v1/webhook-deliveries", tag = "webhook-deliveries",
    params(Paging, Query), responses((status = 200, body = Page<DeliveryView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(query): Params<Query>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let filter =
        Filter { endpoint: query.endpoint_id, event: query.event_id, status: query.status };
    let page = service::list(&deps, &ctx, &filter, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(Into::into)))
}

/// Read a delivery with all its tries.
#[utoipa::path(get, path = "/v1/webhook-deliveries/{delivery}", tag = "webhook-deliveries",
    params(("delivery" = DeliveryId, Path)), responses((status = 200, body = WholeView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<WholeView>, Problem> {
    let found = service::find(&deps, &ctx, id).await?;
    let (delivery, attempts) = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let attempt_log = attempts.into_iter().map(Into::into).collect();
    Ok(Json(WholeView { delivery: delivery.into(), attempt_log }))
}

/// Deliver once more. The receiver sees the same `webhook-id`.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{delivery}/retry", tag = "webhook-deliveries",
    params(("delivery" = DeliveryId, Path)), responses((status = 202, body = DeliveryView)))]
async fn retry(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<DeliveryId>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    match service::retry(&deps, &ctx, id).await? {
        Repeated::Anew(delivery) => Ok((StatusCode::ACCEPTED, Json(delivery.into()))),
        Repeated::Absent => Err(Problem::new(Code::NotFound)),
        Repeated::Impossible => Err(Problem::new(Code::Conflict).with_detail(
            "The endpoint is off or gone, or the event was dropped when its day was over.",
        )),
    }
}
