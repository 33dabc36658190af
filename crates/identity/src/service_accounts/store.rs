//! Room `identity`: rows of service accounts.

use misy_core::id::TypedId;
use misy_core::{Permission, ServiceAccountId, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::ServiceAccount;
use crate::api_keys::store::scope;
use crate::notices::store::joined;

fn read(row: &Row) -> Result<ServiceAccount, Error> {
    Ok(ServiceAccount {
        id: ServiceAccountId::from_uuid(row.get("id")),
        name: row.get("name"),
        description: row.get("description"),
        scope: scope(row)?,
        grants: joined(row, "base", "granted").grants(),
        disabled: row.get("disabled"),
        created_by: row.get("created_by"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

const LIST: &str = "
    select s.*, s.status = 'disabled' as disabled, n.role as base, n.permissions as granted
    from service_accounts s
    left join access_notices n on n.tenant_id = $1 and n.subject = s.id
    where s.tenant_id = $1 and s.id > $2 order by s.id limit $3";

/// Accounts after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ServiceAccount>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const FIND: &str = "
    select s.*, s.status = 'disabled' as disabled, n.role as base, n.permissions as granted
    from service_accounts s
    left join access_notices n on n.tenant_id = $1 and n.subject = s.id
    where s.tenant_id = $1 and s.id = $2";

/// An account by id.
pub(super) async fn find(
    tx: &mut TenantTx,
    id: ServiceAccountId,
) -> Result<Option<ServiceAccount>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const LOCK: &str = "
    select id from service_accounts where tenant_id = $1 and id = $2 for no key update";

/// The account stays as it is until the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx, id: ServiceAccountId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.query(LOCK, &[&tenant, &id.uuid()]).await.map(drop)
}

const INSERT: &str = "
    insert into service_accounts (tenant_id, id, name, description, role, permissions, created_by,
        created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $8)";

/// Adds an account.
pub(super) async fn insert(tx: &mut TenantTx, account: &ServiceAccount) -> Result<(), Error> {
    let (tenant, id, role) = (tx.tenant(), account.id.uuid(), account.scope.role());
    let permissions: Vec<&str> = account.scope.own().into_iter().map(Permission::slug).collect();
    let ServiceAccount { name, description, created_by, created_at, .. } = account;
    let params: [&(dyn ToSql + Sync); 8] =
        [&tenant, &id, name, description, &role, &permissions, created_by, created_at];
    tx.execute(INSERT, &params).await.map(drop)
}

const UPDATE: &str = "
    update service_accounts set name = $3, description = $4, role = $5, permissions = $6,
        status = case when $7 then 'disabled' else 'active' end, version = version + 1,
        updated_at = $8
    where tenant_id = $1 and id = $2";

/// Saves what can change.
pub(super) async fn update(
    tx: &mut TenantTx,
    account: &ServiceAccount,
    now: Timestamp,
) -> Result<(), Error> {
    let (tenant, id, role) = (tx.tenant(), account.id.uuid(), account.scope.role());
    let permissions: Vec<&str> = account.scope.own().into_iter().map(Permission::slug).collect();
    let ServiceAccount { name, description, disabled, .. } = account;
    let params: [&(dyn ToSql + Sync); 8] =
        [&tenant, &id, name, description, &role, &permissions, disabled, &now];
    tx.execute(UPDATE, &params).await.map(drop)
}

const DELETE_KEYS: &str = "
    with routes as (
        delete from api_key_routes where tenant_id = $1 and service_account_id = $2),
    notices as (
        delete from access_notices where tenant_id = $1 and (subject = $2 or subject in (
            select id from api_keys where tenant_id = $1 and service_account_id = $2)))
    delete from api_keys where tenant_id = $1 and service_account_id = $2";
const DELETE: &str = "delete from service_accounts where tenant_id = $1 and id = $2";

/// Removes an account with its keys.
pub(super) async fn delete(tx: &mut TenantTx, id: ServiceAccountId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE_KEYS, &[&tenant, &id.uuid()]).await?;
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}
