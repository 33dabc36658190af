//! Room `integration`: rows of `webhook_sources` and of what was received from them.

use misy_core::id::TypedId;
use misy_core::{Cursor, EventId, Limit, ReceiptId, SourceId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx, ToSql};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Receipt, Settings, Source, Stage, Status, Tally};

/// Nothing is written if the tenant has as many as it may.
const INSERT: &str = "
    with made as (
        insert into webhook_sources (tenant_id, id, name, status, settings, sealed, created_at,
            updated_at)
        select $1, $2, $3, 'enabled', $4, $5, $6, $6
        where (select count(*) from webhook_sources where tenant_id = $1) < $7
        returning *),
    route as (insert into source_routes (id, tenant_id) select id, $1 from made)
    select * from made";

const FIND: &str = "select * from webhook_sources where tenant_id = $1 and id = $2";

const LIST: &str = "
    select * from webhook_sources where tenant_id = $1 and id > $2
    order by id limit $3";

const TALLIES: &str = "
    select * from source_refusals where tenant_id = $1 and source_id = any($2)";

const UPDATE: &str = "
    update webhook_sources set name = $4, status = $5, settings = $6, sealed = $7,
        version = version + 1, updated_at = $8
    where tenant_id = $1 and id = $2 and version = $3 returning *";

const DELETE: &str = "
    with gone as (delete from source_routes where tenant_id = $1 and id = $2)
    delete from webhook_sources where tenant_id = $1 and id = $2";

const FIND_ROUTE: &str = "select tenant_id from source_routes where id = $1";

/// Two that come in the same moment with the same mark wait for each other here, so that the second
/// sees the first. The keys come in order, so that none waits in a circle.
const LOCK_MARKS: &str = "
    select count(pg_advisory_xact_lock(one.key)) from unnest($1::bigint[]) as one (key)";

/// Kept unless one with any of the marks was kept before.
const KEEP: &str = "
    with fresh as (
        insert into source_receipts (tenant_id, id, source_id, status, external_id, query, headers,
            body, body_bytes, received_at)
        select $1, $2, $3, 'stored', $4, $5, $6, $7, $8, $9
        where not exists (select from source_marks as known where known.tenant_id = $1
            and known.source_id = $3 and known.mark = any($10::bytea[]) and known.id >= $11)
        returning id),
    marked as (
        insert into source_marks (tenant_id, source_id, mark, id)
        select $1, $3, one.mark, fresh.id from fresh, unnest($10::bytea[]) as one (mark))
    select id from fresh";

/// One that was not taken: a line for its owner to see, without the body.
const NOTE: &str = "
    insert into source_receipts (tenant_id, id, source_id, status, reason, external_id, query,
        headers, body_bytes, received_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// Counts what was not taken, and says whether it is time for an alarm: when so many were refused
/// within so long, once in a while.
const COUNT: &str = "
    insert into source_refusals as tally (tenant_id, source_id, refusals, repetitions,
        last_refused_at, counted_from, counted)
    select $1, $2, $3::bigint, $4::bigint, case when $3::bigint > 0 then $5::timestamptz end,
        $5::timestamptz, $3::bigint
    where exists (select from webhook_sources as source
        where source.tenant_id = $1 and source.id = $2)
    on conflict (tenant_id, source_id) do update set
        refusals = tally.refusals + $3::bigint,
        repetitions = tally.repetitions + $4::bigint,
        last_refused_at = coalesce(excluded.last_refused_at, tally.last_refused_at),
        counted_from = case when tally.counted_from < $6 then $5::timestamptz
            else tally.counted_from end,
        counted = $3::bigint + case when tally.counted_from < $6 then 0 else tally.counted end
    returning counted, alarmed_at";

const ALARM: &str = "
    update source_refusals set alarmed_at = $3
    where tenant_id = $1 and source_id = $2 and (alarmed_at is null or alarmed_at < $4)
    returning source_id";

const FIND_RECEIPT: &str = "select * from source_receipts where tenant_id = $1 and id = $2";

/// Whoever has it processes it.
const LOCK_RECEIPT: &str = "
    select * from source_receipts where tenant_id = $1 and id = $2 and status = 'stored'
    for update";

const LIST_RECEIPTS: &str = "
    select tenant_id, id, source_id, status, reason, faults, external_id, query, headers,
        null::bytea as body, body_bytes, event_id, received_at, processed_at
    from source_receipts
    where tenant_id = $1 and id < $2
        and ($3::uuid is null or source_id = $3) and ($4::text is null or status = $4)
    order by id desc limit $5";

const SETTLE: &str = "
    update source_receipts set status = $3, reason = $4, faults = $5, event_id = $6,
        processed_at = $7
    where tenant_id = $1 and id = $2";

const REPLAY: &str = "
    update source_receipts set status = 'stored', reason = null, faults = null,
        processed_at = null
    where tenant_id = $1 and id = $2 and status in ('stored', 'forwarded', 'invalid')
    returning *";

/// A source with its sealed secrets.
pub(crate) struct Stored {
    pub(crate) source: Source,
    pub(crate) sealed: Vec<u8>,
}

/// Writes a new one; `None` if the tenant has as many as it may.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    new: &Source,
    sealed: &[u8],
    most: u16,
) -> Result<Option<Source>, Error> {
    let (settings, most) = (json(&new.settings), i64::from(most));
    let params: [&(dyn ToSql + Sync); 7] =
        [&tx.tenant(), &new.id.uuid(), &new.name, &settings, &sealed, &new.created_at, &most];
    tx.query_opt(INSERT, &params).await?.as_ref().map(source).transpose()
}

pub(crate) async fn find(tx: &mut TenantTx, id: SourceId) -> Result<Option<Stored>, Error> {
    let row = tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?;
    let stored = |row: &Row| Ok(Stored { source: source(row)?, sealed: row.get("sealed") });
    row.as_ref().map(stored).transpose()
}

/// Oldest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Source>, Error> {
    let after = Cursor::after(cursor);
    let rows = tx.query(LIST, &[&tx.tenant(), &after, &limit.fetch()]).await?;
    rows.iter().map(source).collect()
}

/// How often the senders of these were refused.
pub(crate) async fn list_tallies(
    tx: &mut TenantTx,
    ids: &[SourceId],
) -> Result<Vec<(SourceId, Tally)>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(TALLIES, &[&tx.tenant(), &ids]).await?;
    let tally = |row: &Row| {
        let tally = Tally {
            refusals: row.get("refusals"),
            repetitions: row.get("repetitions"),
            last_refused_at: row.get("last_refused_at"),
        };
        (SourceId::from_uuid(row.get("source_id")), tally)
    };
    Ok(rows.iter().map(tally).collect())
}

/// Writes a changed one if nobody else has changed it meanwhile.
pub(crate) async fn update(
    tx: &mut TenantTx,
    new: &Source,
    sealed: &[u8],
) -> Result<Option<Source>, Error> {
    let (now, settings) = (tx.ambient().now(), json(&new.settings));
    let params: [&(dyn ToSql + Sync); 8] = [
        &tx.tenant(),
        &new.id.uuid(),
        &new.version,
        &new.name,
        &new.status.slug(),
        &settings,
        &sealed,
        &now,
    ];
    tx.query_opt(UPDATE, &params).await?.as_ref().map(source).transpose()
}

pub(crate) async fn delete(tx: &mut TenantTx, id: SourceId) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, &[&tx.tenant(), &id.uuid()]).await? > 0)
}

/// Whose a source is.
pub(crate) async fn find_route(
    tx: &mut PlatformTx,
    id: SourceId,
) -> Result<Option<TenantId>, Error> {
    let row = tx.query_opt(FIND_ROUTE, &[&id.uuid()]).await?;
    Ok(row.map(|row| TenantId::from_uuid(row.get("tenant_id"))))
}

/// Waits for whoever keeps one with one of these marks.
pub(crate) async fn lock_marks(tx: &mut TenantTx, keys: &[i64]) -> Result<(), Error> {
    tx.query_opt(LOCK_MARKS, &[&keys]).await?;
    Ok(())
}

/// Keeps a receipt; whether it was the first with these marks since then.
pub(crate) async fn keep(
    tx: &mut TenantTx,
    new: &Receipt,
    marks: &[[u8; 32]],
    since: Uuid,
) -> Result<bool, Error> {
    let marks: Vec<&[u8]> = marks.iter().map(<[u8; 32]>::as_slice).collect();
    let params: [&(dyn ToSql + Sync); 11] = [
        &tx.tenant(),
        &new.id.uuid(),
        &new.source.uuid(),
        &new.external_id,
        &new.query,
        &new.headers,
        &new.body,
        &new.body_bytes,
        &new.received_at,
        &marks,
        &since,
    ];
    Ok(tx.query_opt(KEEP, &params).await?.is_some())
}

/// Notes one that was not taken.
pub(crate) async fn note(tx: &mut TenantTx, new: &Receipt) -> Result<(), Error> {
    let params: [&(dyn ToSql + Sync); 10] = [
        &tx.tenant(),
        &new.id.uuid(),
        &new.source.uuid(),
        &new.stage.slug(),
        &new.reason,
        &new.external_id,
        &new.query,
        &new.headers,
        &new.body_bytes,
        &new.received_at,
    ];
    tx.execute(NOTE, &params).await?;
    Ok(())
}

/// Counts what was not taken; gives how many were refused since `from` or later, if the source is
/// still there.
pub(crate) async fn count(
    tx: &mut TenantTx,
    id: SourceId,
    (refusals, repetitions): (i64, i64),
    from: Timestamp,
) -> Result<Option<i64>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let params: [&(dyn ToSql + Sync); 6] =
        [&tenant, &id.uuid(), &refusals, &repetitions, &now, &from];
    Ok(tx.query_opt(COUNT, &params).await?.map(|row| row.get("counted")))
}

/// Whether an alarm is due, the last having been before then; it is noted as given.
pub(crate) async fn alarm(
    tx: &mut TenantTx,
    id: SourceId,
    before: Timestamp,
) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    Ok(tx.query_opt(ALARM, &[&tenant, &id.uuid(), &now, &before]).await?.is_some())
}

pub(crate) async fn find_receipt(
    tx: &mut TenantTx,
    id: ReceiptId,
) -> Result<Option<Receipt>, Error> {
    tx.query_opt(FIND_RECEIPT, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(receipt).transpose()
}

/// One that waits to be told, for this transaction alone.
pub(crate) async fn lock_receipt(
    tx: &mut TenantTx,
    id: ReceiptId,
) -> Result<Option<Receipt>, Error> {
    tx.query_opt(LOCK_RECEIPT, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(receipt).transpose()
}

/// Newest first, without bodies.
pub(crate) async fn list_receipts(
    tx: &mut TenantTx,
    source: Option<SourceId>,
    stage: Option<Stage>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Receipt>, Error> {
    let before = cursor.map_or(Uuid::max(), |cursor| cursor.0);
    let source = source.map(TypedId::uuid);
    let params: [&(dyn ToSql + Sync); 5] =
        [&tx.tenant(), &before, &source, &stage.map(Stage::slug), &limit.fetch()];
    tx.query(LIST_RECEIPTS, &params).await?.iter().map(receipt).collect()
}

/// Notes what became of one.
pub(crate) async fn settle(
    tx: &mut TenantTx,
    id: ReceiptId,
    stage: Stage,
    (reason, faults): (Option<&str>, Option<Value>),
    event: Option<EventId>,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let event = event.map(TypedId::uuid);
    let params: [&(dyn ToSql + Sync); 7] =
        [&tenant, &id.uuid(), &stage.slug(), &reason, &faults, &event, &now];
    tx.execute(SETTLE, &params).await?;
    Ok(())
}

/// Has one told again; `None` if it is not there or not in a state for it.
pub(crate) async fn replay(tx: &mut TenantTx, id: ReceiptId) -> Result<Option<Receipt>, Error> {
    tx.query_opt(REPLAY, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(receipt).transpose()
}

fn json(settings: &Settings) -> Value {
    serde_json::to_value(settings).expect("texts, numbers and JSON serialise")
}

fn source(row: &Row) -> Result<Source, Error> {
    let settings = serde_json::from_value(row.get("settings"));
    let status: &str = row.get("status");
    Ok(Source {
        id: SourceId::from_uuid(row.get("id")),
        name: row.get("name"),
        status: if status == "enabled" { Status::Enabled } else { Status::Disabled },
        settings: settings.map_err(|_| Error::Corrupt { column: "settings" })?,
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

fn receipt(row: &Row) -> Result<Receipt, Error> {
    Ok(Receipt {
        id: ReceiptId::from_uuid(row.get("id")),
        source: SourceId::from_uuid(row.get("source_id")),
        stage: Stage::parse(row.get("status")).ok_or(Error::Corrupt { column: "status" })?,
        reason: row.get("reason"),
        faults: row.get("faults"),
        external_id: row.get("external_id"),
        query: row.get("query"),
        headers: row.get("headers"),
        body: row.get("body"),
        body_bytes: row.get("body_bytes"),
        event: row.get::<_, Option<Uuid>>("event_id").map(EventId::from_uuid),
        received_at: row.get("received_at"),
        processed_at: row.get("processed_at"),
    })
}
