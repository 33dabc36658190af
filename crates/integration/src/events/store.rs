//! Room `integration`: rows of `webhook_events`.

use misy_core::id::TypedId;
use misy_core::{ChannelId, Cursor, EventId, Limit};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use super::model::Event;

const FIND: &str = "select * from webhook_events where tenant_id = $1 and id = $2";

const LIST: &str = "
    select * from webhook_events
    where tenant_id = $1 and id < $2 and ($3::text is null or type = $3)
    order by id desc limit $4";

pub(crate) async fn find(tx: &mut TenantTx, id: EventId) -> Result<Option<Event>, Error> {
    tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(event).transpose()
}

/// Newest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    kind: Option<&str>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Event>, Error> {
    let before = Cursor::before(cursor);
    let rows = tx.query(LIST, &[&tx.tenant(), &before, &kind, &limit.fetch()]).await?;
    rows.iter().map(event).collect()
}

fn event(row: &Row) -> Result<Event, Error> {
    let payload: &str = row.get("payload");
    Ok(Event {
        id: EventId::from_uuid(row.get("id")),
        kind: row.get("type"),
        channel: row.get::<_, Option<Uuid>>("channel_id").map(ChannelId::from_uuid),
        payload: serde_json::from_str(payload).map_err(|_| Error::Corrupt { column: "payload" })?,
    })
}
