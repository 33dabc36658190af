//! Room `tenancy`: rows that tell how tenants came and went.

use misy_core::id::TypedId;
use misy_core::{TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Decided, Report, Tombstone};
use crate::tenants::model::Tenant;

const HISTORY: &str = "
    select action, actor, created_at from platform_audit_records
    where resource = 'tenant' and resource_id = $1 order by id desc limit 100";

const LIST_DUE: &str = "
    select id from tenants where status = 'closing' and purge_at <= $1 order by purge_at limit $2";

/// What was found first counts: a second run finds less.
const BEGIN: &str = "
    insert into tombstones (tenant_id, slug, made_at, report) values ($1, $2, $3, $4)
    on conflict (tenant_id) do nothing";

const END: &str = "
    update tombstones
    set purged_at = $2, report = jsonb_set(report, '{retained}', $3) where tenant_id = $1";

const FIND: &str = "select purged_at, report from tombstones where tenant_id = $1";

/// What its people gave goes; that it was there stays.
const SCRUB: &str = "
    update tenants set name = slug, business = '{}', allowed_origins = '{}', brand = '{}',
        contacts = '[]', status_note = null
    where id = $1";

/// What was decided about a tenant, newest first.
pub(crate) async fn history(tx: &mut PlatformTx, id: TenantId) -> Result<Vec<Decided>, Error> {
    let decided = |row: &Row| Decided {
        action: row.get("action"),
        actor: row.get("actor"),
        at: row.get("created_at"),
    };
    Ok(tx.query(HISTORY, &[&id.to_string()]).await?.iter().map(decided).collect())
}

/// Closed tenants whose time is over.
pub(crate) async fn list_due(tx: &mut PlatformTx, limit: i64) -> Result<Vec<TenantId>, Error> {
    let now = tx.ambient().now();
    let rows = tx.query(LIST_DUE, &[&now, &limit]).await?;
    Ok(rows.iter().map(|row| TenantId::from_uuid(row.get::<_, Uuid>("id"))).collect())
}

/// Keeps what was found before anything is removed.
pub(crate) async fn begin_tombstone(
    tx: &mut PlatformTx,
    tenant: &Tenant,
    report: &Report,
) -> Result<(), Error> {
    let (id, report) = (tenant.id.uuid(), serde_json::json!(report));
    tx.execute(BEGIN, &[&id, &tenant.slug, &tenant.created_at, &report]).await.map(drop)
}

/// Says that everything is gone but what is retained.
pub(crate) async fn end_tombstone(
    tx: &mut PlatformTx,
    id: TenantId,
    report: &Report,
) -> Result<(), Error> {
    let now = tx.ambient().now();
    let retained = serde_json::json!(report.retained);
    tx.execute(END, &[&id.uuid(), &now, &retained]).await?;
    tx.execute(SCRUB, &[&id.uuid()]).await.map(drop)
}

/// What is left of a tenant.
pub(crate) async fn find_tombstone(
    tx: &mut PlatformTx,
    id: TenantId,
) -> Result<Option<Tombstone>, Error> {
    let Some(row) = tx.query_opt(FIND, &[&id.uuid()]).await? else { return Ok(None) };
    let report = serde_json::from_value(row.get::<_, Value>("report"));
    let report = report.map_err(|_| Error::Corrupt { column: "report" })?;
    Ok(Some(Tombstone { purged_at: row.get::<_, Option<Timestamp>>("purged_at"), report }))
}
