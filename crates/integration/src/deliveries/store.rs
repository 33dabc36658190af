//! Room `integration`: rows of `webhook_deliveries` and `webhook_attempts`.
//!
//! Both lie in partitions by id, so statements over many rows say between which ids they lie, and
//! only those partitions are looked at.

use misy_core::id::TypedId;
use misy_core::{Cursor, DeliveryId, EndpointId, EventId, Limit, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Attempt, Delivery, Due, Filter, Status};

/// The events are looked up one by one (`offset 0` keeps it so): they may be of any day.
const LOAD: &str = "
    select delivery.id, delivery.event_id, delivery.endpoint_id, event.type,
        event.payload, endpoint.version, endpoint.failing_since
    from unnest($2::uuid[]) as asked (id)
    cross join lateral (
        select one.id, one.event_id, one.endpoint_id from webhook_deliveries as one
        where one.tenant_id = $1 and one.id = asked.id and one.id between $3 and $4
        offset 0) as delivery
    cross join lateral (
        select one.type, one.payload from webhook_events as one
        where one.tenant_id = $1 and one.id = delivery.event_id offset 0) as event
    left join lateral (
        select one.version, one.failing_since from webhook_endpoints as one
        where one.tenant_id = $1 and one.id = delivery.endpoint_id and one.status = 'enabled'
        offset 0) as endpoint on true";

/// Only what is pending moves, so it only moves forward. The rows are counted out of their arrays
/// because the planner takes an `unnest` for ten rows, and then compares each with each.
/// `$2` is in order, so the place of each row's news is found by halving (`width_bucket`). A join
/// with the arrays would compare each row with each: of rows made just now the planner knows
/// nothing and expects one.
const MOVE: &str = "
    update webhook_deliveries set
        status = ($3::text[])[width_bucket(id, $2::uuid[])],
        attempts = ($4::smallint[])[width_bucket(id, $2)],
        last_status = ($5::smallint[])[width_bucket(id, $2)],
        last_error = ($6::text[])[width_bucket(id, $2)],
        next_attempt_at = ($10::timestamptz[])[width_bucket(id, $2)],
        ended_at = case when ($3)[width_bucket(id, $2)] <> 'pending' then $9::timestamptz end
    where tenant_id = $1 and id = any($2) and id between $7 and $8 and status = 'pending'";

const INSERT_ATTEMPTS: &str = "
    insert into webhook_attempts (tenant_id, id, delivery_id, endpoint_id, number, status,
        elapsed_ms, started_at, request, response_headers, response_body, error, address)
    select $1, new.* from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::smallint[],
        $7::integer[], $8::timestamptz[], $9::json[], $10::json[], $11::text[], $12::text[],
        $13::text[]) as new";

const BURY: &str = "
    insert into webhook_dead_letters
        (tenant_id, id, event_id, endpoint_id, type, reason, attempts, died_at)
    select $1, new.*, $8 from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[],
        $7::smallint[]) as new
    on conflict do nothing";

const MARK_FAILING: &str = "
    update webhook_endpoints set failing_since = $3
    where tenant_id = $1 and id = any($2) and failing_since is null";

const MARK_WELL: &str = "
    update webhook_endpoints set failing_since = null
    where tenant_id = $1 and id = any($2) and failing_since is not null";

const FIND: &str = "
    select delivery.*, event.type from webhook_deliveries as delivery
    left join webhook_events as event on event.tenant_id = $1 and event.id = delivery.event_id
    where delivery.tenant_id = $1 and delivery.id = $2";

const LIST: &str = "
    select page.*, event.type from (
        select * from webhook_deliveries as delivery
        where delivery.tenant_id = $1 and delivery.id < $2
            and ($3::uuid is null or delivery.endpoint_id = $3)
            and ($4::uuid is null or delivery.event_id = $4)
            and ($5::text is null or delivery.status = $5)
        order by delivery.id desc limit $6) as page
    left join lateral (
        select one.type from webhook_events as one
        where one.tenant_id = $1 and one.id = page.event_id offset 0) as event on true
    order by page.id desc";

/// An event or an endpoint has an index to its deliveries.
const LIST_OF_EVENT: &str = "
    select page.*, event.type from (
        select * from webhook_deliveries as delivery
        where delivery.tenant_id = $1 and delivery.id < $2 and delivery.event_id = $4
            and ($3::uuid is null or delivery.endpoint_id = $3)
            and ($5::text is null or delivery.status = $5)
        order by delivery.id desc limit $6) as page
    left join lateral (
        select one.type from webhook_events as one
        where one.tenant_id = $1 and one.id = page.event_id offset 0) as event on true
    order by page.id desc";

const LIST_OF_ENDPOINT: &str = "
    select page.*, event.type from (
        select * from webhook_deliveries as delivery
        where delivery.tenant_id = $1 and delivery.id < $2 and delivery.endpoint_id = $3
            and ($4::uuid is null or delivery.event_id = $4)
            and ($5::text is null or delivery.status = $5)
        order by delivery.id desc limit $6) as page
    left join lateral (
        select one.type from webhook_events as one
        where one.tenant_id = $1 and one.id = page.event_id offset 0) as event on true
    order by page.id desc";

const LIST_ATTEMPTS: &str = "
    select * from webhook_attempts where tenant_id = $1 and delivery_id = $2 order by id";

const REPEAT: &str = "
    with wanted as (
        select new.id, delivery.id as replay_of, delivery.event_id, delivery.endpoint_id,
            endpoint.in_flight, endpoint.fifo
        from unnest($2::uuid[], $3::uuid[]) as new (id, replay_of)
        cross join lateral (
            select * from webhook_deliveries as one
            where one.tenant_id = $1 and one.id = new.replay_of offset 0) as delivery
        join webhook_endpoints as endpoint on endpoint.tenant_id = $1
            and endpoint.id = delivery.endpoint_id and endpoint.status = 'enabled'
        where exists (select from webhook_events as event
            where event.tenant_id = $1 and event.id = delivery.event_id)),
    risen as (
        delete from webhook_dead_letters as letter using wanted
        where letter.tenant_id = $1 and letter.id = wanted.replay_of),
    delivery as (
        insert into webhook_deliveries (tenant_id, id, event_id, endpoint_id, replay_of)
        select $1, id, event_id, endpoint_id, replay_of from wanted),
    parcel as (
        insert into parcels (tenant_id, id, address, cap, serial)
        select $1, id, endpoint_id, in_flight, fifo from wanted)
    select id from wanted";

/// What became of one delivery in one try.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    pub(crate) id: DeliveryId,
    pub(crate) status: Status,
    pub(crate) attempts: i16,
    pub(crate) last_status: Option<i16>,
    pub(crate) last_error: Option<String>,
    pub(crate) next_attempt_at: Option<Timestamp>,
}

/// A delivery that was given up.
#[derive(Debug, Clone)]
pub(crate) struct Dead {
    pub(crate) id: DeliveryId,
    pub(crate) event: EventId,
    pub(crate) endpoint: EndpointId,
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) attempts: i16,
}

/// A try of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Tried {
    pub(crate) delivery: DeliveryId,
    pub(crate) endpoint: EndpointId,
    pub(crate) attempt: Attempt,
}

/// The least and the greatest of some ids.
fn span(ids: &[Uuid]) -> (Uuid, Uuid) {
    let low = ids.iter().min().copied().unwrap_or_default();
    (low, ids.iter().max().copied().unwrap_or_default())
}

/// Everything that these deliveries need; those whose event was dropped with its day are missing.
pub(crate) async fn load(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Due>, Error> {
    let (low, high) = span(ids);
    let rows = tx.query(LOAD, &[&tx.tenant(), &ids, &low, &high]).await?;
    let due = |row: &Row| Due {
        id: DeliveryId::from_uuid(row.get("id")),
        event: EventId::from_uuid(row.get("event_id")),
        endpoint: EndpointId::from_uuid(row.get("endpoint_id")),
        kind: row.get("type"),
        payload: row.get("payload"),
        version: row.get("version"),
        failing_since: row.get("failing_since"),
    };
    Ok(rows.iter().map(due).collect())
}

type Params = Vec<Box<dyn ToSql + Sync + Send>>;

/// Moves deliveries forward, with the commit.
pub(crate) fn move_on(tx: &mut TenantTx, mut moved: Vec<Moved>) {
    if moved.is_empty() {
        return;
    }
    moved.sort_by_key(|one| one.id.uuid());
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let ids: Vec<Uuid> = moved.iter().map(|one| one.id.uuid()).collect();
    let (low, high) = span(&ids);
    let params: Params = vec![
        Box::new(tenant),
        Box::new(ids),
        Box::new(moved.iter().map(|one| one.status.slug()).collect::<Vec<_>>()),
        Box::new(moved.iter().map(|one| one.attempts).collect::<Vec<_>>()),
        Box::new(moved.iter().map(|one| one.last_status).collect::<Vec<_>>()),
        Box::new(moved.iter().map(|one| one.last_error.clone()).collect::<Vec<_>>()),
        Box::new(low),
        Box::new(high),
        Box::new(now),
        Box::new(moved.iter().map(|one| one.next_attempt_at).collect::<Vec<_>>()),
    ];
    tx.defer(MOVE, params);
}

/// Keeps tries, with the commit.
pub(crate) fn keep_attempts(tx: &mut TenantTx, tried: Vec<Tried>) {
    if tried.is_empty() {
        return;
    }
    let of = |pick: fn(&Tried) -> Uuid| tried.iter().map(pick).collect::<Vec<_>>();
    let number = |pick: fn(&Attempt) -> Option<i16>| {
        tried.iter().map(|one| pick(&one.attempt)).collect::<Vec<_>>()
    };
    let text = |pick: fn(&Attempt) -> Option<String>| {
        tried.iter().map(|one| pick(&one.attempt)).collect::<Vec<_>>()
    };
    let json = |pick: fn(&Attempt) -> Option<Value>| {
        tried.iter().map(|one| pick(&one.attempt)).collect::<Vec<_>>()
    };
    let params: Params = vec![
        Box::new(tx.tenant()),
        Box::new(tried.iter().map(|_| tx.ambient().uuid()).collect::<Vec<_>>()),
        Box::new(of(|one| one.delivery.uuid())),
        Box::new(of(|one| one.endpoint.uuid())),
        Box::new(number(|it| Some(it.number))),
        Box::new(number(|it| it.status)),
        Box::new(tried.iter().map(|one| one.attempt.elapsed_ms).collect::<Vec<_>>()),
        Box::new(tried.iter().map(|one| one.attempt.started_at).collect::<Vec<_>>()),
        Box::new(json(|it| Some(it.request.clone()))),
        Box::new(json(|it| it.response_headers.clone())),
        Box::new(text(|it| it.response_body.clone())),
        Box::new(text(|it| it.error.clone())),
        Box::new(text(|it| it.address.clone())),
    ];
    tx.defer(INSERT_ATTEMPTS, params);
}

/// Makes dead letters of deliveries that were given up, with the commit.
pub(crate) fn bury(tx: &mut TenantTx, dead: Vec<Dead>) {
    if dead.is_empty() {
        return;
    }
    let of = |pick: fn(&Dead) -> Uuid| dead.iter().map(pick).collect::<Vec<_>>();
    let text =
        |pick: fn(&Dead) -> &str| dead.iter().map(|one| pick(one).to_owned()).collect::<Vec<_>>();
    let params: Params = vec![
        Box::new(tx.tenant()),
        Box::new(of(|one| one.id.uuid())),
        Box::new(of(|one| one.event.uuid())),
        Box::new(of(|one| one.endpoint.uuid())),
        Box::new(text(|one| &one.kind)),
        Box::new(text(|one| &one.reason)),
        Box::new(dead.iter().map(|one| one.attempts).collect::<Vec<_>>()),
        Box::new(tx.ambient().now()),
    ];
    tx.defer(BURY, params);
}

/// Notes, with the commit, which endpoints began to fail and which are well again.
pub(crate) fn mark(tx: &mut TenantTx, failing: Vec<Uuid>, well: Vec<Uuid>) {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    if !failing.is_empty() {
        tx.defer(MARK_FAILING, vec![Box::new(tenant), Box::new(failing), Box::new(now)]);
    }
    if !well.is_empty() {
        tx.defer(MARK_WELL, vec![Box::new(tenant), Box::new(well)]);
    }
}

pub(crate) async fn find(tx: &mut TenantTx, id: DeliveryId) -> Result<Option<Delivery>, Error> {
    tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(delivery).transpose()
}

/// Newest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Delivery>, Error> {
    let params: [&(dyn ToSql + Sync); 6] = [
        &tx.tenant(),
        &Cursor::before(cursor),
        &filter.endpoint.map(TypedId::uuid),
        &filter.event.map(TypedId::uuid),
        &filter.status.map(Status::slug),
        &limit.fetch(),
    ];
    let sql = match filter {
        Filter { event: Some(_), .. } => LIST_OF_EVENT,
        Filter { endpoint: Some(_), .. } => LIST_OF_ENDPOINT,
        _ => LIST,
    };
    tx.query(sql, &params).await?.iter().map(delivery).collect()
}

/// Oldest first.
pub(crate) async fn list_attempts(
    tx: &mut TenantTx,
    id: DeliveryId,
) -> Result<Vec<Attempt>, Error> {
    let rows = tx.query(LIST_ATTEMPTS, &[&tx.tenant(), &id.uuid()]).await?;
    let attempt = |row: &Row| Attempt {
        number: row.get("number"),
        status: row.get("status"),
        elapsed_ms: row.get("elapsed_ms"),
        started_at: row.get("started_at"),
        request: row.get("request"),
        response_headers: row.get("response_headers"),
        response_body: row.get("response_body"),
        error: row.get("error"),
        address: row.get("address"),
    };
    Ok(rows.iter().map(attempt).collect())
}

/// Makes deliveries anew, each with the event and thus the `webhook-id` of the one it repeats;
/// their dead letters are gone. Gives the new ids; an endpoint that is off, or an event that was
/// dropped, has none.
pub(crate) async fn repeat(
    tx: &mut TenantTx,
    ids: &[DeliveryId],
) -> Result<Vec<DeliveryId>, Error> {
    let new: Vec<Uuid> = ids.iter().map(|_| tx.ambient().uuid()).collect();
    let old: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(REPEAT, &[&tx.tenant(), &new, &old]).await?;
    Ok(rows.iter().map(|row| DeliveryId::from_uuid(row.get("id"))).collect())
}

fn delivery(row: &Row) -> Result<Delivery, Error> {
    let status = Status::parse(row.get("status"));
    Ok(Delivery {
        id: DeliveryId::from_uuid(row.get("id")),
        event: EventId::from_uuid(row.get("event_id")),
        kind: row.get("type"),
        endpoint: EndpointId::from_uuid(row.get("endpoint_id")),
        replay_of: row.get::<_, Option<Uuid>>("replay_of").map(DeliveryId::from_uuid),
        status: status.ok_or(Error::Corrupt { column: "status" })?,
        attempts: row.get("attempts"),
        last_status: row.get("last_status"),
        last_error: row.get("last_error"),
        next_attempt_at: row.get("next_attempt_at"),
        ended_at: row.get("ended_at"),
    })
}
