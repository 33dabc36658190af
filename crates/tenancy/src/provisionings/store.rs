//! Room `tenancy`: what provisioning needs beside the tenant's own row, and the secrets it makes.

use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_store::{Error, PlatformTx, TenantTx};

const INSERT_SEED: &str = "insert into provisionings (tenant_id, seed) values ($1, $2)";

const FIND_SEED: &str = "select seed from provisionings where tenant_id = $1";

const DELETE_SEED: &str = "delete from provisionings where tenant_id = $1";

const INSERT_SECRET: &str = "
    insert into tenant_secrets (tenant_id, name, sealed) values ($1, $2, $3)
    on conflict (tenant_id, name) do nothing";

/// Keeps, sealed, who the owner is.
pub(crate) async fn insert_seed(
    tx: &mut PlatformTx,
    id: TenantId,
    sealed: &[u8],
) -> Result<(), Error> {
    tx.execute(INSERT_SEED, &[&id.uuid(), &sealed]).await.map(drop)
}

/// What [`insert_seed`] kept, if provisioning has not ended.
pub(crate) async fn find_seed(tx: &mut PlatformTx, id: TenantId) -> Result<Option<Vec<u8>>, Error> {
    Ok(tx.query_opt(FIND_SEED, &[&id.uuid()]).await?.map(|row| row.get("seed")))
}

/// Forgets it, for it holds the owner's password.
pub(crate) async fn delete_seed(tx: &mut PlatformTx, id: TenantId) -> Result<(), Error> {
    tx.execute(DELETE_SEED, &[&id.uuid()]).await.map(drop)
}

/// Keeps a secret of the tenant, unless it has one of that name.
pub(crate) async fn insert_secret(
    tx: &mut TenantTx,
    name: &str,
    sealed: &[u8],
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(INSERT_SECRET, &[&tenant, &name, &sealed]).await.map(drop)
}
