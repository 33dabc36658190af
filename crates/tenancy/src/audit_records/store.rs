//! Room `tenancy`: rows of `audit_records`, read only: `misy_store` adds them, nobody changes them.

use misy_core::id::TypedId;
use misy_core::{AuditId, Cursor, Limit};
use misy_store::{Error, Row, TenantTx};

use super::model::{Filter, Record};

const LIST: &str = "
    select id, actor, action, resource, resource_id, detail, request_id, created_at
    from audit_records
    where tenant_id = $1 and id < $2
      and ($3::text is null or action = $3) and ($4::text is null or resource = $4)
      and ($5::text is null or resource_id = $5) and ($6::text is null or actor = $6)
    order by id desc limit $7";

pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Record>, Error> {
    let before = Cursor::before(cursor);
    let Filter { action, resource, resource_id, actor } = filter;
    let (tenant, count) = (tx.tenant(), limit.fetch());
    let rows =
        tx.query(LIST, &[&tenant, &before, action, resource, resource_id, actor, &count]).await?;
    Ok(rows.iter().map(record).collect())
}

fn record(row: &Row) -> Record {
    Record {
        id: AuditId::from_uuid(row.get("id")),
        actor: row.get("actor"),
        action: row.get("action"),
        resource: row.get("resource"),
        resource_id: row.get("resource_id"),
        detail: row.get("detail"),
        request_id: row.get("request_id"),
        created_at: row.get("created_at"),
    }
}
