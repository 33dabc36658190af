//! Room `integration`: rows of `webhook_replays`, and the steps of a replay.

use misy_core::id::TypedId;
use misy_core::{DeliveryId, OperationId, ReceiptId};
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::{Progress, Status, Wish, end_id, first_id};
use crate::sources::model::Stage;

const INSERT: &str = "
    insert into webhook_replays (tenant_id, id, wish, status, place, created_at, updated_at)
    values ($1, $2, $3, 'running', $4, $5, $5) returning *";

const FIND: &str = "select * from webhook_replays where tenant_id = $1 and id = $2";

/// One step at a time: two workers that have the same replay wait for each other here.
const LOCK: &str = "select * from webhook_replays where tenant_id = $1 and id = $2 for update";

const COME_ON: &str = "
    update webhook_replays set place = $3, status = $4, replayed = replayed + $5,
        looked_at = looked_at + $6, updated_at = $7
    where tenant_id = $1 and id = $2";

const NEXT_DEAD: &str = "
    select id from webhook_dead_letters
    where tenant_id = $1 and id > $2 and id < $3 and ($4::uuid is null or endpoint_id = $4)
        and ($5::text is null or type = $5) and ($7::uuid is null or id = $7)
    order by id limit $6";

/// Looks at the next events behind a place, and makes deliveries of those that the endpoint wants
/// and neither has nor is about to get. Asks what the outbox asks.
const STEP_MISSED: &str = "
    with looked as (
        select id, type, channel_id, payload from webhook_events
        where tenant_id = $1 and id > $2 and id < $3 order by id limit $6),
    wanted as materialized (
        select looked.id as event_id, endpoint.id as endpoint_id, endpoint.in_flight, endpoint.fifo,
            overlay(gen_random_uuid()::text placing left($7::uuid::text, 13) from 1 for 13) as text,
            row_number() over (order by looked.id) as number
        from looked join webhook_endpoints as endpoint
            on endpoint.tenant_id = $1 and endpoint.id = $4 and endpoint.status = 'enabled'
        where ($5::text is null or looked.type = $5)
            and (endpoint.event_types is null or looked.type = any(endpoint.event_types)
                or exists (select from unnest(endpoint.event_types) as wide
                    where right(wide, 2) = '.*' and starts_with(looked.type, left(wide, -1))))
            and (endpoint.channel_ids is null or looked.channel_id = any(endpoint.channel_ids))
            and (endpoint.filter is null or coalesce(jsonb_path_match(
                looked.payload::jsonb, endpoint.filter::jsonpath, '{}', true), false))
            and not exists (
                select from webhook_deliveries as known
                where known.tenant_id = $1 and known.event_id = looked.id
                    and known.endpoint_id = $4 and known.status <> 'dead')),
    made as (
        select overlay(text placing '-7' || lpad(to_hex(number % 4096), 3, '0') from 14 for 5)::uuid
            as id, event_id, endpoint_id, in_flight, fifo from wanted),
    risen as (
        delete from webhook_dead_letters as letter using made
        where letter.tenant_id = $1 and letter.event_id = made.event_id
            and letter.endpoint_id = $4),
    delivery as (
        insert into webhook_deliveries (tenant_id, id, event_id, endpoint_id)
        select $1, id, event_id, endpoint_id from made),
    parcel as (
        insert into parcels (tenant_id, id, address, cap, serial)
        select $1, id, endpoint_id, in_flight, fifo from made)
    select count(*) as looked_at, (select id from looked order by id desc limit 1) as place,
        (select count(*) from made) as replayed
    from looked";

/// Has the next receipts behind a place told again, oldest first; what was refused or came twice is
/// not kept and passed over.
const STEP_RECEIVED: &str = "
    with looked as (
        select id from source_receipts
        where tenant_id = $1 and id > $2 and id < $3
            and status in ('stored', 'forwarded', 'invalid')
            and ($4::uuid is null or source_id = $4) and ($5::text is null or status = $5)
        order by id limit $6 for update),
    again as (
        update source_receipts as receipt
        set status = 'stored', reason = null, faults = null, processed_at = null
        from looked where receipt.tenant_id = $1 and receipt.id = looked.id returning receipt.id)
    select id from again order by id";

/// What a step came to.
pub(crate) struct Step {
    pub(crate) looked_at: i64,
    pub(crate) replayed: i64,
    pub(crate) place: Option<Uuid>,
}

pub(crate) async fn insert(
    tx: &mut TenantTx,
    id: OperationId,
    wish: &Wish,
) -> Result<Option<Progress>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let place = wish.since.map(first_id).unwrap_or_default();
    let wish = serde_json::to_value(wish).expect("ids, texts and times serialise");
    let params: [&(dyn ToSql + Sync); 5] = [&tenant, &id.uuid(), &wish, &place, &now];
    tx.query_opt(INSERT, &params).await?.as_ref().map(progress).transpose()
}

pub(crate) async fn find(tx: &mut TenantTx, id: OperationId) -> Result<Option<Progress>, Error> {
    tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(progress).transpose()
}

pub(crate) async fn lock(tx: &mut TenantTx, id: OperationId) -> Result<Option<Progress>, Error> {
    tx.query_opt(LOCK, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(progress).transpose()
}

/// Notes how far it has come.
pub(crate) async fn come_on(
    tx: &mut TenantTx,
    id: OperationId,
    status: Status,
    step: &Step,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let place = step.place.unwrap_or_default();
    let params: [&(dyn ToSql + Sync); 7] =
        [&tenant, &id.uuid(), &place, &status.slug(), &step.replayed, &step.looked_at, &now];
    tx.execute(COME_ON, &params).await.map(drop)
}

/// The next dead letters behind a place.
pub(crate) async fn list_dead(
    tx: &mut TenantTx,
    at: &Progress,
    limit: i64,
) -> Result<Vec<DeliveryId>, Error> {
    let Wish { endpoint, kind, until, only, .. } = &at.wish;
    let params: [&(dyn ToSql + Sync); 7] = [
        &tx.tenant(),
        &at.place,
        &end_id(*until),
        &endpoint.map(TypedId::uuid),
        kind,
        &limit,
        &only.map(TypedId::uuid),
    ];
    let rows = tx.query(NEXT_DEAD, &params).await?;
    Ok(rows.iter().map(|row| DeliveryId::from_uuid(row.get("id"))).collect())
}

/// Makes deliveries of the next events that an endpoint missed.
pub(crate) async fn step_missed(
    tx: &mut TenantTx,
    at: &Progress,
    limit: i64,
) -> Result<Step, Error> {
    let Wish { endpoint, kind, until, .. } = &at.wish;
    let fresh = tx.ambient().uuid();
    let params: [&(dyn ToSql + Sync); 7] = [
        &tx.tenant(),
        &at.place,
        &end_id(*until),
        &endpoint.map(TypedId::uuid),
        kind,
        &limit,
        &fresh,
    ];
    let row = tx.query_opt(STEP_MISSED, &params).await?;
    let row = row.ok_or(Error::Corrupt { column: "looked_at" })?;
    Ok(Step {
        looked_at: row.get("looked_at"),
        replayed: row.get("replayed"),
        place: row.get("place"),
    })
}

/// Has the next receipts told again; gives them, oldest first.
pub(crate) async fn step_received(
    tx: &mut TenantTx,
    at: &Progress,
    limit: i64,
) -> Result<Vec<ReceiptId>, Error> {
    let Wish { source, stage, until, .. } = &at.wish;
    let params: [&(dyn ToSql + Sync); 6] = [
        &tx.tenant(),
        &at.place,
        &end_id(*until),
        &source.map(TypedId::uuid),
        &stage.map(Stage::slug),
        &limit,
    ];
    let rows = tx.query(STEP_RECEIVED, &params).await?;
    Ok(rows.iter().map(|row| ReceiptId::from_uuid(row.get("id"))).collect())
}

fn progress(row: &Row) -> Result<Progress, Error> {
    let status = Status::parse(row.get("status"));
    Ok(Progress {
        id: OperationId::from_uuid(row.get("id")),
        wish: serde_json::from_value(row.get("wish"))
            .map_err(|_| Error::Corrupt { column: "wish" })?,
        status: status.ok_or(Error::Corrupt { column: "status" })?,
        place: row.get("place"),
        replayed: row.get("replayed"),
        looked_at: row.get("looked_at"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}
