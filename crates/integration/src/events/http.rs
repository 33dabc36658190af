//! Room `integration`: `/v1/events` and `/v1/event-types`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use misy_core::error::Fault;
use misy_core::event::EventType;
use misy_core::{ChannelId, Code, EndpointId, EventId, Page, Timestamp};
use misy_web::{Class, Paging, Params, PathId, Problem, Tenant, Traits, Valid, with};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Event, NewEvent};
use super::service::{self, Simulated};
use crate::Deps;

/// The routes of events.
pub fn router(deps: Arc<Deps>) -> OpenApiRouter {
    let large = Traits::new().body_limit_bytes(8 << 20).class(Class::Publish);
    OpenApiRouter::new()
        .routes(routes!(list_types))
        .routes(routes!(list))
        .routes(with(routes!(publish), large))
        .routes(routes!(get))
        .routes(routes!(simulate))
        .with_state(deps)
}

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypeInfo)]
struct TypeView {
    r#type: &'static str,
    description: &'static str,
    version: u32,
    /// JSON Schema of `data`.
    #[schema(value_type = Object)]
    schema: Value,
    /// A whole payload.
    #[schema(value_type = Object)]
    example: Value,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypes)]
struct TypesView {
    data: Vec<TypeView>,
}

fn type_view(kind: EventType) -> TypeView {
    TypeView {
        r#type: kind.slug(),
        description: kind.about(),
        version: EventType::VERSION,
        schema: misy_web::webhooks::schema(kind),
        example: misy_web::webhooks::example(kind),
    }
}

/// An event that was kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
struct EventView {
    id: EventId,
    r#type: String,
    channel_id: Option<ChannelId>,
    timestamp: String,
    #[schema(value_type = Object)]
    data: Value,
}

impl From<Event> for EventView {
    fn from(mut it: Event) -> Self {
        let timestamp = it.payload["timestamp"].as_str().unwrap_or_default().to_owned();
        let (id, channel_id) = (it.id, it.channel);
        Self { id, r#type: it.kind, channel_id, timestamp, data: it.payload["data"].take() }
    }
}

/// An event of your own.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = NewEvent)]
#[serde(deny_unknown_fields)]
struct NewEventBody {
    /// Like `order.created`; areas of MisyBot's own events are refused.
    #[garde(length(min = 3, max = 100))]
    #[schema(min_length = 3, max_length = 100, example = "order.created")]
    r#type: String,
    /// What is said of it.
    #[garde(skip)]
    #[schema(value_type = Object)]
    data: Value,
    /// Over which channel account it happened, for endpoints that want only some.
    #[garde(skip)]
    channel_id: Option<ChannelId>,
    /// When it happened; now if not given.
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    timestamp: Option<Timestamp>,
}

impl From<NewEventBody> for NewEvent {
    fn from(body: NewEventBody) -> Self {
        let (channel, at) = (body.channel_id, body.timestamp);
        Self { kind: body.r#type, data: body.data, channel, at }
    }
}

/// One event, or several in `events`.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(as = PublishEvents)]
#[serde(deny_unknown_fields)]
struct PublishBody {
    #[garde(inner(length(min = 3, max = 100)))]
    #[schema(min_length = 3, max_length = 100, example = "order.created")]
    r#type: Option<String>,
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    #[garde(skip)]
    channel_id: Option<ChannelId>,
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    timestamp: Option<Timestamp>,
    /// Published together, all or none.
    #[garde(dive)]
    #[schema(min_items = 1, max_items = 500)]
    events: Option<Vec<NewEventBody>>,
}

impl PublishBody {
    /// The events, and whether it was a single one.
    fn events(self) -> Result<(Vec<NewEvent>, bool), Problem> {
        let Self { r#type, data, channel_id, timestamp, events } = self;
        let one = r#type.is_some() || data.is_some() || channel_id.is_some();
        let refuse = |pointer: &str, detail: &str| {
            let fault = Fault { pointer: pointer.to_owned(), detail: detail.to_owned() };
            Err(Problem::new(Code::Invalid).with_faults(vec![fault]))
        };
        match (events, r#type, data) {
            (Some(_), ..) if one || timestamp.is_some() => {
                refuse("/events", "give either one event or `events`")
            }
            (Some(events), ..) => Ok((events.into_iter().map(Into::into).collect(), false)),
            (None, Some(r#type), Some(data)) => {
                Ok((vec![NewEventBody { r#type, data, channel_id, timestamp }.into()], true))
            }
            (None, None, _) => refuse("/type", "is missing"),
            (None, _, None) => refuse("/data", "is missing"),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PublishedEvent)]
struct Published {
    id: EventId,
}

/// The ids of what was accepted, in the order given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PublishedEvents)]
struct PublishedView {
    data: Vec<Published>,
}

/// What an endpoint would get.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SimulatedDelivery)]
struct SimulatedView {
    endpoint_id: EndpointId,
    url: String,
    delivered: bool,
    /// Why it would get nothing.
    reason: Option<&'static str>,
    /// The body that would be sent.
    body: Option<String>,
}

impl From<Simulated> for SimulatedView {
    fn from(it: Simulated) -> Self {
        Self {
            endpoint_id: it.endpoint.id,
            url: it.endpoint.url,
            delivered: it.why_not.is_none(),
            reason: it.why_not,
            body: it.body,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SimulatedDeliveries)]
struct SimulationView {
    data: Vec<SimulatedView>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only events of this type.
    r#type: Option<String>,
}

/// List the types of events there are, with schema and example.
#[utoipa::path(get, path = "/v1/event-types", tag = "events",
    responses((status = 200, body = TypesView)))]
async fn list_types(Tenant(_ctx): Tenant) -> Json<TypesView> {
    Json(TypesView { data: EventType::ALL.iter().map(|kind| type_view(*kind)).collect() })
}

/// List the events that were kept, newest first: those that an endpoint wanted, and your own.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(Paging, Filter),
    responses((status = 200, body = Page<EventView>)))]
async fn list(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    paging: Paging,
    Params(filter): Params<Filter>,
) -> Result<Json<Page<EventView>>, Problem> {
    let kind = filter.r#type.as_deref();
    let page = service::list(&deps, &ctx, kind, paging.cursor, paging.limit).await?;
    Ok(Json(page.map(Into::into)))
}

/// Publish events of your own, one or several together.
#[utoipa::path(post, path = "/v1/events", tag = "events", request_body = PublishBody,
    responses((status = 202, body = PublishedView)))]
async fn publish(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<PublishBody>,
) -> Result<(StatusCode, Json<PublishedView>), Problem> {
    let (events, single) = body.events()?;
    let ids = service::publish(&deps, &ctx, events, single).await?;
    let data = ids.into_iter().map(|id| Published { id }).collect();
    Ok((StatusCode::ACCEPTED, Json(PublishedView { data })))
}

/// Read an event.
#[utoipa::path(get, path = "/v1/events/{event}", tag = "events",
    params(("event" = EventId, Path)), responses((status = 200, body = EventView)))]
async fn get(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<EventId>,
) -> Result<Json<EventView>, Problem> {
    Ok(Json(service::get(&deps, &ctx, id).await?.into()))
}

/// See what would be sent of an event, to whom, and why not to others. Nothing is sent.
#[utoipa::path(post, path = "/v1/events/simulate", tag = "events", request_body = NewEventBody,
    responses((status = 200, body = SimulationView)))]
async fn simulate(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<NewEventBody>,
) -> Result<Json<SimulationView>, Problem> {
    let simulated = service::simulate(&deps, &ctx, &body.into()).await?;
    Ok(Json(SimulationView { data: simulated.into_iter().map(Into::into).collect() }))
}
