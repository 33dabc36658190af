//! Room `tenancy`: rows of `tenant_keys`.

use misy_store::{Error, TenantTx};

const INSERT: &str = "
    insert into tenant_keys (tenant_id, version, wrapped) values ($1, $2, $3)
    on conflict (tenant_id, version) do nothing";

const FIND: &str = "
    select version, wrapped from tenant_keys
    where tenant_id = $1 and revoked_at is null and ($2::int4 is null or version = $2)
    order by version desc limit 1";

/// Whether the version was not there before.
pub(crate) async fn insert(tx: &mut TenantTx, version: i32, wrapped: &[u8]) -> Result<bool, Error> {
    let count = tx.execute(INSERT, &[&tx.tenant(), &version, &wrapped]).await?;
    Ok(count == 1)
}

/// The key of a version, or the newest.
pub(crate) async fn find(
    tx: &mut TenantTx,
    version: Option<u32>,
) -> Result<Option<(u32, Vec<u8>)>, Error> {
    let corrupt = |_| Error::Corrupt { column: "version" };
    let wanted = version.map(i32::try_from).transpose().map_err(corrupt)?;
    let Some(row) = tx.query_opt(FIND, &[&tx.tenant(), &wanted]).await? else { return Ok(None) };
    let found = u32::try_from(row.get::<_, i32>("version")).map_err(corrupt)?;
    Ok(Some((found, row.get("wrapped"))))
}
