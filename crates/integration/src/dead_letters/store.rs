//! Room `integration`: rows of `webhook_dead_letters`.

use misy_core::id::TypedId;
use misy_core::{Cursor, DeliveryId, EndpointId, EventId, Limit};
use misy_store::{Error, Row, TenantTx};

use super::model::DeadLetter;

const LIST: &str = "
    select * from webhook_dead_letters
    where tenant_id = $1 and id < $2
        and ($3::uuid is null or endpoint_id = $3)
    order by id desc limit $4";

const FIND: &str = "select * from webhook_dead_letters where tenant_id = $1 and id = $2";

const FORGET: &str = "delete from webhook_dead_letters where tenant_id = $1 and id = $2";

/// Newest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    endpoint: Option<EndpointId>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<DeadLetter>, Error> {
    let (before, endpoint) = (Cursor::before(cursor), endpoint.map(TypedId::uuid));
    let rows = tx.query(LIST, &[&tx.tenant(), &before, &endpoint, &limit.fetch()]).await?;
    Ok(rows.iter().map(letter).collect())
}

pub(crate) async fn find(tx: &mut TenantTx, id: DeliveryId) -> Result<Option<DeadLetter>, Error> {
    Ok(tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(letter))
}

/// Removes one; says whether it was there.
pub(crate) async fn forget(tx: &mut TenantTx, id: DeliveryId) -> Result<bool, Error> {
    Ok(tx.execute(FORGET, &[&tx.tenant(), &id.uuid()]).await? > 0)
}

fn letter(row: &Row) -> DeadLetter {
    DeadLetter {
        id: DeliveryId::from_uuid(row.get("id")),
        event: EventId::from_uuid(row.get("event_id")),
        kind: row.get("type"),
        endpoint: EndpointId::from_uuid(row.get("endpoint_id")),
        reason: row.get("reason"),
        attempts: row.get("attempts"),
        died_at: row.get("died_at"),
    }
}
