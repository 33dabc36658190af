//! Room `integration`: rows of `webhook_endpoints`.

use misy_core::id::TypedId;
use misy_core::{ChannelId, Cursor, EndpointId, Limit, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::model::{DisabledReason, Endpoint, Status, predicate};

/// Nothing is written if the tenant has as many as it may. Two that are made in the same moment may
/// both see room for one: the limit is there against floods, not for the last digit.
const INSERT: &str = "
    insert into webhook_endpoints (tenant_id, id, url, description, status, event_types,
        channel_ids, conditions, filter, in_flight, fifo, settings, sealed, created_at, updated_at)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14
    where (select count(*) from webhook_endpoints where tenant_id = $1) < $15
    returning *";

const FIND: &str = "select * from webhook_endpoints where tenant_id = $1 and id = $2";

const LIST: &str = "
    select * from webhook_endpoints where tenant_id = $1 and id > $2
    order by id limit $3";

const LIST_ALL: &str = "select * from webhook_endpoints where tenant_id = $1 order by id";

const COUNT: &str = "
    select count(*) as endpoints from webhook_endpoints where tenant_id = $1";

const UPDATE: &str = "
    update webhook_endpoints set url = $4, description = $5, status = $6, disabled_reason = $7,
        event_types = $8, channel_ids = $9, conditions = $10, filter = $11, in_flight = $12,
        fifo = $13, settings = $14, sealed = $15, failing_since = $16, version = version + 1,
        updated_at = $17
    where tenant_id = $1 and id = $2 and version = $3 returning *";

/// What waits keeps to the new order and cap as well.
const UPDATE_PARCELS: &str = "
    update parcels set cap = $3, serial = $4, again = again and not $4
    where tenant_id = $1 and address = $2 and (cap <> $3 or serial <> $4)";

const DELETE: &str = "delete from webhook_endpoints where tenant_id = $1 and id = $2";

const SWITCH_OFF: &str = "
    update webhook_endpoints set status = 'disabled', disabled_reason = $3, version = version + 1,
        updated_at = $4
    where tenant_id = $1 and id = $2 and status = 'enabled' returning *";

const SWITCH_ON: &str = "
    update webhook_endpoints set status = 'enabled', disabled_reason = null, failing_since = null,
        version = version + 1, updated_at = $3
    where tenant_id = $1 and id = $2 and status = 'unverified' returning *";

/// An endpoint with its sealed secrets.
pub(crate) struct Stored {
    pub(crate) endpoint: Endpoint,
    pub(crate) sealed: Vec<u8>,
}

/// How many the tenant has.
pub(crate) async fn count(tx: &mut TenantTx) -> Result<i64, Error> {
    let row = tx.query_opt(COUNT, &[&tx.tenant()]).await?;
    Ok(row.map_or(0, |row| row.get("endpoints")))
}

/// Writes a new one; `None` if the tenant has as many as it may.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    new: &Endpoint,
    sealed: &[u8],
    most: u16,
) -> Result<Option<Endpoint>, Error> {
    let channels = channels(new);
    let (conditions, settings) = (json(&new.conditions), json(&new.settings));
    let params: [&(dyn ToSql + Sync); 15] = [
        &tx.tenant(),
        &new.id.uuid(),
        &new.url,
        &new.description,
        &new.status.slug(),
        &new.event_types,
        &channels,
        &conditions,
        &predicate(&new.conditions),
        &new.in_flight,
        &new.fifo,
        &settings,
        &sealed,
        &new.created_at,
        &i64::from(most),
    ];
    tx.query_opt(INSERT, &params).await?.as_ref().map(endpoint).transpose()
}

pub(crate) async fn find(tx: &mut TenantTx, id: EndpointId) -> Result<Option<Stored>, Error> {
    let row = tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?;
    let stored = |row: &Row| Ok(Stored { endpoint: endpoint(row)?, sealed: row.get("sealed") });
    row.as_ref().map(stored).transpose()
}

/// Oldest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Endpoint>, Error> {
    let after = Cursor::after(cursor);
    let rows = tx.query(LIST, &[&tx.tenant(), &after, &limit.fetch()]).await?;
    rows.iter().map(endpoint).collect()
}

pub(crate) async fn list_all(tx: &mut TenantTx) -> Result<Vec<Endpoint>, Error> {
    let rows = tx.query(LIST_ALL, &[&tx.tenant()]).await?;
    rows.iter().map(endpoint).collect()
}

/// Writes a changed one if nobody else has changed it meanwhile.
pub(crate) async fn update(
    tx: &mut TenantTx,
    new: &Endpoint,
    sealed: &[u8],
) -> Result<Option<Endpoint>, Error> {
    let (tenant, now, channels) = (tx.tenant(), tx.ambient().now(), channels(new));
    let (conditions, settings) = (json(&new.conditions), json(&new.settings));
    let params: [&(dyn ToSql + Sync); 17] = [
        &tenant,
        &new.id.uuid(),
        &new.version,
        &new.url,
        &new.description,
        &new.status.slug(),
        &new.disabled_reason.map(DisabledReason::slug),
        &new.event_types,
        &channels,
        &conditions,
        &predicate(&new.conditions),
        &new.in_flight,
        &new.fifo,
        &settings,
        &sealed,
        &new.failing_since,
        &now,
    ];
    let row = tx.query_opt(UPDATE, &params).await?;
    let Some(row) = row else { return Ok(None) };
    tx.execute(UPDATE_PARCELS, &[&tenant, &new.id.uuid(), &new.in_flight, &new.fifo]).await?;
    endpoint(&row).map(Some)
}

pub(crate) async fn delete(tx: &mut TenantTx, id: EndpointId) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, &[&tx.tenant(), &id.uuid()]).await? > 0)
}

/// Switches one off that is on; gives it if it was.
pub(crate) async fn switch_off(
    tx: &mut TenantTx,
    id: EndpointId,
    why: DisabledReason,
) -> Result<Option<Endpoint>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let row = tx.query_opt(SWITCH_OFF, &[&tenant, &id.uuid(), &why.slug(), &now]).await?;
    row.as_ref().map(endpoint).transpose()
}

/// Switches one on that has answered the challenge.
pub(crate) async fn switch_on(
    tx: &mut TenantTx,
    id: EndpointId,
) -> Result<Option<Endpoint>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let row = tx.query_opt(SWITCH_ON, &[&tenant, &id.uuid(), &now]).await?;
    row.as_ref().map(endpoint).transpose()
}

fn channels(endpoint: &Endpoint) -> Option<Vec<Uuid>> {
    let channels = endpoint.channels.as_ref()?;
    Some(channels.iter().map(|id| id.uuid()).collect())
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("texts, numbers and JSON serialise")
}

fn read<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, Error> {
    serde_json::from_value(row.get(column)).map_err(|_| Error::Corrupt { column })
}

fn endpoint(row: &Row) -> Result<Endpoint, Error> {
    let channels: Option<Vec<Uuid>> = row.get("channel_ids");
    let reason: Option<&str> = row.get("disabled_reason");
    let (created_at, updated_at): (Timestamp, Timestamp) =
        (row.get("created_at"), row.get("updated_at"));
    Ok(Endpoint {
        id: EndpointId::from_uuid(row.get("id")),
        url: row.get("url"),
        description: row.get("description"),
        status: Status::parse(row.get("status")).ok_or(Error::Corrupt { column: "status" })?,
        disabled_reason: reason.and_then(DisabledReason::parse),
        event_types: row.get("event_types"),
        channels: channels.map(|all| all.into_iter().map(ChannelId::from_uuid).collect()),
        conditions: read(row, "conditions")?,
        in_flight: row.get("in_flight"),
        fifo: row.get("fifo"),
        settings: read(row, "settings")?,
        failing_since: row.get("failing_since"),
        version: row.get("version"),
        created_at,
        updated_at,
    })
}
