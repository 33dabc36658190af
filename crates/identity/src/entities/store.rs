//! Room `identity`: rows of what is known of a tenant's own applications.

use misy_core::Timestamp;
use misy_store::{Error, TenantTx};
use serde_json::Value;

use super::model::Entity;

const FIND: &str = "select entities, version from policy_entities where tenant_id = $1";

/// What is known, and its version; nothing is version 0.
pub(crate) async fn find(tx: &mut TenantTx) -> Result<(Vec<Entity>, i64), Error> {
    let tenant = tx.tenant();
    let Some(row) = tx.query_opt(FIND, &[&tenant]).await? else { return Ok(Default::default()) };
    let kept: Value = row.get("entities");
    let entities =
        serde_json::from_value(kept).map_err(|_| Error::Corrupt { column: "entities" })?;
    Ok((entities, row.get("version")))
}

const SAVE: &str = "
    insert into policy_entities (tenant_id, entities, updated_at) values ($1, $2, $3)
    on conflict (tenant_id) do update set entities = excluded.entities,
        version = policy_entities.version + 1, updated_at = excluded.updated_at
    returning version";

/// Replaces what is known; gives its version.
pub(super) async fn save(
    tx: &mut TenantTx,
    entities: &[Entity],
    now: Timestamp,
) -> Result<i64, Error> {
    let tenant = tx.tenant();
    let kept = serde_json::to_value(entities).map_err(|_| Error::Corrupt { column: "entities" })?;
    let row = tx.query_opt(SAVE, &[&tenant, &kept, &now]).await?;
    row.map(|row| row.get("version")).ok_or(Error::Corrupt { column: "version" })
}
