//! Room `store`: what is told to the outside, written in the transaction of what happened.
//!
//! One statement at the commit, in its round trip: it finds the endpoints that want an event, and
//! writes the event, a delivery an endpoint and a parcel a delivery. So it sees exactly the
//! endpoints that are there, no cache can be wrong, and of an event that nobody wants nothing is
//! written at all.

use misy_core::event::{Happening, envelope};
use misy_core::id::TypedId;
use misy_core::{ChannelId, EventId, PlatformCtx, Timestamp};
use uuid::Uuid;

use crate::session::Deferred;
use crate::{Db, Error};

/// A delivery's id begins with the time and the count of its event's, so that deliveries to one
/// endpoint have the order of their events, and lie in the partition of their events' day.
const EMIT: &str = "
    with new as (
        select * from unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::boolean[])
            as new (id, type, channel_id, payload, kept)),
    wanted as materialized (
        select overlay(gen_random_uuid()::text placing left(new.id::text, 18) from 1 for 18)::uuid
                as id,
            new.id as event_id, endpoint.id as endpoint_id, endpoint.in_flight, endpoint.fifo
        from webhook_endpoints as endpoint cross join new
        where endpoint.tenant_id = $1 and endpoint.status = 'enabled'
            and (endpoint.event_types is null or new.type = any(endpoint.event_types)
                or exists (select from unnest(endpoint.event_types) as wide
                    where right(wide, 2) = '.*' and starts_with(new.type, left(wide, -1))))
            and (endpoint.channel_ids is null or new.channel_id = any(endpoint.channel_ids))
            and (endpoint.filter is null or coalesce(jsonb_path_match(
                new.payload::jsonb, endpoint.filter::jsonpath, '{}', true), false))),
    happened as (
        insert into webhook_events (tenant_id, id, type, channel_id, payload)
        select $1, id, type, channel_id, payload from new
        where kept or id in (select event_id from wanted)),
    delivery as (
        insert into webhook_deliveries (tenant_id, id, event_id, endpoint_id)
        select $1, id, event_id, endpoint_id from wanted)
    insert into parcels (tenant_id, id, address, cap, serial)
    select $1, id, endpoint_id, in_flight, fifo from wanted";

/// An event on its way into the outbox.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id, which is the `webhook-id` of all its deliveries.
    pub id: EventId,
    /// Its type, for example `message.received`.
    pub kind: String,
    /// Over which channel account it happened, if over one.
    pub channel: Option<ChannelId>,
    /// What is sent: `{"type": .., "timestamp": .., "data": ..}`.
    pub payload: String,
    /// Whether it is kept even if nobody wants it.
    pub kept: bool,
}

impl NewEvent {
    /// Something of the catalogue that happened now.
    pub(crate) fn of(id: EventId, what: &impl Happening, at: Timestamp) -> Self {
        let kind = what.kind().slug();
        let payload = envelope(kind, at, what);
        Self { id, kind: kind.to_owned(), channel: what.channel(), payload, kept: false }
    }
}

pub(crate) fn emit(tenant: Option<Uuid>, events: Vec<NewEvent>) -> Deferred {
    let (mut ids, mut kinds, mut channels) = (Vec::new(), Vec::new(), Vec::new());
    let (mut payloads, mut kept) = (Vec::new(), Vec::new());
    for event in events {
        ids.push(event.id.uuid());
        kinds.push(event.kind);
        channels.push(event.channel.map(TypedId::uuid));
        payloads.push(event.payload);
        kept.push(event.kept);
    }
    let params: Vec<Box<dyn tokio_postgres::types::ToSql + Sync + Send>> = vec![
        Box::new(tenant),
        Box::new(ids),
        Box::new(kinds),
        Box::new(channels),
        Box::new(payloads),
        Box::new(kept),
    ];
    Deferred { sql: EMIT, params }
}

const KEEP_DAYS: &str = "select misy_keep_webhook_days($1, $2, $3) as changed";

/// Days for which partitions are made before they come.
const AHEAD: i32 = 7;

/// Makes the days to come and drops those that are over, whole. Gives how many tables changed.
pub async fn keep_days(db: &Db, ctx: &PlatformCtx, keep_days: u16) -> Result<i32, Error> {
    let mut tx = db.platform(ctx).await?;
    let now = tx.ambient().now();
    let row = tx.query_opt(KEEP_DAYS, &[&now, &AHEAD, &i32::from(keep_days)]).await?;
    tx.commit().await?;
    Ok(row.map_or(0, |row| row.get("changed")))
}
