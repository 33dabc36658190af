//! Room `integration`: publishing events of a tenant's own, and looking at those that were kept.

mod sharing;

use std::time::Duration;

use misy_core::event::envelope;
use misy_core::{Ctx, Cursor, EventId, Limit, Page, Permission, PlatformCtx, TenantId};
use misy_store::outbox;
use moka::sync::Cache;
use serde_json::Value;

pub use self::sharing::Publications;
use super::model::{Error, Event, NewEvent, faults};
use super::store;
use crate::endpoints::model::wants;
use crate::endpoints::{self, Endpoint};
use crate::{Below, Deps};

/// How long it is believed how full a tenant's queue is.
const BELIEVED: Duration = Duration::from_secs(2);

/// Whether the queues of tenants were full when they were looked at last.
#[derive(Clone)]
pub struct Backlogs(Cache<TenantId, bool>);

impl Default for Backlogs {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(20_000).time_to_live(BELIEVED).build())
    }
}

impl std::fmt::Debug for Backlogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backlogs")
    }
}

/// Whether more waits for the tenant's endpoints than may.
pub(crate) async fn is_full(deps: &Deps, ctx: &Ctx) -> Result<bool, Error> {
    if let Some(known) = deps.backlogs.0.get(&ctx.tenant()) {
        return Ok(known);
    }
    // Whoever asks first looks for all that ask meanwhile.
    deps.backlogs.0.insert(ctx.tenant(), false);
    let mut tx = deps.db.read(ctx).await?;
    let most = i64::from(deps.config.backlog_max);
    let full = misy_jobs::parcels::is_beyond(&mut tx, most).await?;
    deps.backlogs.0.insert(ctx.tenant(), full);
    Ok(full)
}

/// Publishes events, all or none. They are accepted when this returns: each is kept, and has a
/// delivery for every endpoint that wants it.
pub(crate) async fn publish(
    deps: &Deps,
    ctx: &Ctx,
    events: Vec<NewEvent>,
    single: bool,
) -> Result<Vec<EventId>, Error> {
    ctx.require(Permission::EventPublish)?;
    let place = |at: usize| if single { String::new() } else { format!("/events/{at}") };
    let faults: Vec<_> =
        events.iter().enumerate().flat_map(|(at, event)| faults(event, &place(at))).collect();
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    if is_full(deps, ctx).await? {
        return Err(Error::Full);
    }
    let mut ids = Vec::with_capacity(events.len());
    let mut new = Vec::with_capacity(events.len());
    for event in events {
        let id: EventId = deps.ambient.id();
        let at = event.at.unwrap_or_else(|| deps.ambient.now());
        new.push(misy_store::NewEvent {
            id,
            payload: envelope(&event.kind, at, &event.data),
            kind: event.kind,
            channel: event.channel,
            kept: true,
        });
        ids.push(id);
    }
    sharing::keep(deps, ctx, new).await?;
    let number = u64::try_from(ids.len()).unwrap_or(0);
    metrics::counter!("misy_webhook_events_published_total").increment(number);
    Ok(ids)
}

/// A page of the events that were kept, newest first.
pub(crate) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    kind: Option<&str>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Event>, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(Page::cut(store::list(&mut tx, kind, cursor, limit).await?, limit, |event| event.id))
}

/// One event.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: EventId) -> Result<Event, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    store::find(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// What each endpoint would get of an event, or why it would get nothing.
pub(crate) struct Simulated {
    pub(crate) endpoint: Endpoint,
    /// Why not; `None` if it would be sent.
    pub(crate) why_not: Option<&'static str>,
    /// The body that would be sent.
    pub(crate) body: Option<String>,
}

/// Says what would be sent to whom, and why not to others. Nothing is sent.
pub(crate) async fn simulate(
    deps: &Deps,
    ctx: &Ctx,
    event: &NewEvent,
) -> Result<Vec<Simulated>, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let endpoints = endpoints::store::list_all(&mut tx).await?;
    let at = event.at.unwrap_or_else(|| deps.ambient.now());
    let text = envelope(&event.kind, at, &event.data);
    let payload: Value = serde_json::from_str(&text).unwrap_or_default();
    let id: EventId = deps.ambient.id();
    let simulated = endpoints.into_iter().map(|endpoint| {
        let why_not = wants(&endpoint, &event.kind, event.channel, &payload);
        let write = || {
            let settings = &endpoint.settings;
            crate::deliveries::model::write(settings, ctx.tenant(), id, &text).body
        };
        let body = why_not.is_none().then(write);
        Simulated { endpoint, why_not, body }
    });
    Ok(simulated.collect())
}

/// Makes the days to come and drops those that are over.
pub(crate) async fn keep_days(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Below> {
    let changed = outbox::keep_days(&deps.db, ctx, deps.config.keep_days).await?;
    tracing::info!(changed, "the days of webhooks are kept");
    Ok(())
}
