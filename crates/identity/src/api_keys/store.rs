//! Room `identity`: rows of API keys and of the directory that leads to them.

use std::collections::HashMap;

use misy_core::id::TypedId;
use misy_core::{ApiKeyId, Permission, Role, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::{ApiKey, Route, Scope, prefix_of};

fn scope(row: &Row) -> Result<Scope, Error> {
    let permissions: Vec<String> = row.get("permissions");
    let scope = Scope::from_columns(row.get("role"), &permissions);
    scope.ok_or(Error::Corrupt { column: "permissions" })
}

fn read(row: &Row) -> Result<ApiKey, Error> {
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(row.get("id")),
        name: row.get("name"),
        scope: scope(row)?,
        revoked: row.get("revoked"),
        created_by: row.get("created_by"),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        last_used_at: row.get("last_used_at"),
        version: row.get("version"),
    })
}

const INSERT: &str = "
    with route as (
        insert into api_key_routes
            (key_id, tenant_id, secret_hash, role, permissions, expires_at)
        values ($2, $1, $9, $5, $6, $8))
    insert into api_keys (tenant_id, id, name, prefix, role, permissions, created_by, expires_at,
        created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $10)";

/// Adds a key.
pub(super) async fn insert(
    tx: &mut TenantTx,
    key: &ApiKey,
    secret_hash: &[u8],
) -> Result<(), Error> {
    let (tenant, id, prefix) = (tx.tenant(), key.id.uuid(), prefix_of(key.id));
    let role = key.scope.role().map(Role::slug);
    let permissions: Vec<&str> = key.scope.own().into_iter().map(Permission::slug).collect();
    tx.execute(
        INSERT,
        &[
            &tenant,
            &id,
            &key.name,
            &prefix,
            &role,
            &permissions,
            &key.created_by,
            &key.expires_at,
            &secret_hash,
            &key.created_at,
        ],
    )
    .await
    .map(drop)
}

const LIST: &str = "
    select k.id, k.name, k.role, k.permissions, k.status = 'revoked' as revoked, k.created_by,
           k.created_at, k.expires_at, k.version, r.last_used_at
    from api_keys k left join api_key_routes r on r.tenant_id = $1 and r.key_id = k.id
    where k.tenant_id = $1 and ($2::uuid is null or k.id > $2) order by k.id limit $3";

/// Keys after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiKey>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after, &limit]).await?.iter().map(read).collect()
}

const FIND: &str = "
    select k.id, k.name, k.role, k.permissions, k.status = 'revoked' as revoked, k.created_by,
           k.created_at, k.expires_at, k.version, r.last_used_at
    from api_keys k left join api_key_routes r on r.tenant_id = $1 and r.key_id = k.id
    where k.tenant_id = $1 and k.id = $2";

/// A key by id.
pub(crate) async fn find(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const ROTATE: &str = "
    with route as (
        update api_key_routes set secret_hash = $3 where tenant_id = $1 and key_id = $2)
    update api_keys set version = version + 1, updated_at = $4
    where tenant_id = $1 and id = $2 and status = 'active'";

/// Gives a key another secret.
pub(super) async fn rotate(
    tx: &mut TenantTx,
    id: ApiKeyId,
    secret_hash: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(ROTATE, &[&tenant, &id.uuid(), &secret_hash, &now]).await.map(drop)
}

const REVOKE: &str = "
    with route as (delete from api_key_routes where tenant_id = $1 and key_id = $2)
    update api_keys set status = 'revoked', version = version + 1, updated_at = $3
    where tenant_id = $1 and id = $2";

/// Takes a key out of the directory, so that no request finds it.
pub(super) async fn revoke(tx: &mut TenantTx, id: ApiKeyId, now: Timestamp) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(REVOKE, &[&tenant, &id.uuid(), &now]).await.map(drop)
}

const FIND_ROUTE: &str = "
    select key_id, tenant_id, secret_hash, role, permissions, expires_at
    from api_key_routes where key_id = $1";

/// What a request's key is checked against.
pub(super) async fn find_route(tx: &mut PlatformTx, key: ApiKeyId) -> Result<Option<Route>, Error> {
    let Some(row) = tx.query_opt(FIND_ROUTE, &[&key.uuid()]).await? else { return Ok(None) };
    Ok(Some(Route {
        key: ApiKeyId::from_uuid(row.get("key_id")),
        tenant: TenantId::from_uuid(row.get("tenant_id")),
        secret_hash: row.get("secret_hash"),
        grants: scope(&row)?.grants(),
        expires_at: row.get("expires_at"),
    }))
}

const NOTE_USED: &str = "
    update api_key_routes r set last_used_at = used.at
    from unnest($1::uuid[], $2::timestamptz[]) as used (key_id, at)
    where r.key_id = used.key_id and (r.last_used_at is null or r.last_used_at < used.at)";

/// Notes when keys were last used.
pub(crate) async fn note_used(
    tx: &mut PlatformTx,
    keys: &HashMap<Uuid, Timestamp>,
) -> Result<(), Error> {
    let (ids, times): (Vec<Uuid>, Vec<Timestamp>) = keys.iter().unzip();
    tx.execute(NOTE_USED, &[&ids, &times]).await.map(drop)
}
