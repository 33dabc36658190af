//! Room `identity`: rows of API keys and of the directory that leads to them.

use std::collections::HashMap;

use misy_core::id::TypedId;
use misy_core::{ApiKeyId, Permission, ServiceAccountId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::{ApiKey, Mode, Route, Scope, bearer_grants, prefix_of};
use crate::notices::model::Effect;
use crate::notices::store::joined;

/// Reads the columns `role` and `permissions`.
pub(crate) fn scope(row: &Row) -> Result<Scope, Error> {
    let permissions: Vec<String> = row.get("permissions");
    let scope = Scope::from_columns(row.get("role"), &permissions);
    scope.ok_or(Error::Corrupt { column: "permissions" })
}

fn mode(row: &Row) -> Result<Mode, Error> {
    Mode::from_slug(row.get("mode")).ok_or(Error::Corrupt { column: "mode" })
}

fn account(row: &Row) -> Option<(ServiceAccountId, Effect)> {
    let id: Option<Uuid> = row.get("service_account_id");
    let effect = joined(row, "account_role", "account_permissions");
    id.map(|id| (ServiceAccountId::from_uuid(id), effect))
}

fn read(row: &Row) -> Result<ApiKey, Error> {
    let (scope, mode, account) = (scope(row)?, mode(row)?, account(row));
    let own = joined(row, "own_role", "own_permissions");
    let effect = account.as_ref().map(|(_, effect)| effect);
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(row.get("id")),
        name: row.get("name"),
        mode,
        grants: bearer_grants(mode, &scope, &own, effect),
        scope,
        account: account.map(|(id, _)| id),
        overlap_until: row.get("overlap_until"),
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
            (key_id, tenant_id, secret_hash, role, permissions, expires_at, mode,
             service_account_id)
        values ($2, $1, $9, $5, $6, $8, $11, $12))
    insert into api_keys (tenant_id, id, name, prefix, role, permissions, created_by, expires_at,
        created_at, updated_at, mode, service_account_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $10, $11, $12)";

/// Adds a key.
pub(super) async fn insert(
    tx: &mut TenantTx,
    key: &ApiKey,
    secret_hash: &[u8],
) -> Result<(), Error> {
    let (tenant, id, prefix) = (tx.tenant(), key.id.uuid(), prefix_of(key.mode, key.id));
    let (role, account) = (key.scope.role(), key.account.map(TypedId::uuid));
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
            &key.mode.slug(),
            &account,
        ],
    )
    .await
    .map(drop)
}

const LIST: &str = "
    select k.id, k.name, k.role, k.permissions, k.status = 'revoked' as revoked, k.created_by,
           k.created_at, k.expires_at, k.version, k.mode, k.service_account_id, k.overlap_until,
           r.last_used_at, o.role as own_role, o.permissions as own_permissions,
           a.role as account_role, a.permissions as account_permissions
    from api_keys k
    left join api_key_routes r on r.tenant_id = $1 and r.key_id = k.id
    left join access_notices o on o.tenant_id = $1 and o.subject = k.id
    left join access_notices a on a.tenant_id = $1 and a.subject = k.service_account_id
    where k.tenant_id = $1 and k.id > $2 order by k.id limit $3";

/// Keys after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<ApiKey>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const FIND: &str = "
    select k.id, k.name, k.role, k.permissions, k.status = 'revoked' as revoked, k.created_by,
           k.created_at, k.expires_at, k.version, k.mode, k.service_account_id, k.overlap_until,
           r.last_used_at, o.role as own_role, o.permissions as own_permissions,
           a.role as account_role, a.permissions as account_permissions
    from api_keys k
    left join api_key_routes r on r.tenant_id = $1 and r.key_id = k.id
    left join access_notices o on o.tenant_id = $1 and o.subject = k.id
    left join access_notices a on a.tenant_id = $1 and a.subject = k.service_account_id
    where k.tenant_id = $1 and k.id = $2";

/// A key by id.
pub(crate) async fn find(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const ROTATE: &str = "
    with route as (
        update api_key_routes set
            previous_hash = case when $5::timestamptz > $4 then secret_hash end,
            previous_until = $5, secret_hash = $3
        where tenant_id = $1 and key_id = $2)
    update api_keys set version = version + 1, updated_at = $4, overlap_until = $5
    where tenant_id = $1 and id = $2 and status = 'active'";

/// Gives a key another secret; the one it has goes on working until then.
pub(super) async fn rotate(
    tx: &mut TenantTx,
    id: ApiKeyId,
    secret_hash: &[u8],
    now: Timestamp,
    overlap_until: Option<Timestamp>,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(ROTATE, &[&tenant, &id.uuid(), &secret_hash, &now, &overlap_until]).await.map(drop)
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
    select r.key_id, r.tenant_id, r.secret_hash, r.previous_hash, r.previous_until, r.role,
           r.permissions, r.expires_at, r.mode, r.service_account_id,
           o.role as own_role, o.permissions as own_permissions,
           a.role as account_role, a.permissions as account_permissions,
           r.service_account_id is not null and coalesce(a.disabled, true) as disabled,
           coalesce(t.keys, 0) as changes
    from api_key_routes r
    left join access_notices o on o.subject = r.key_id and o.tenant_id = r.tenant_id
    left join access_notices a on a.subject = r.service_account_id and a.tenant_id = r.tenant_id
    left join access_notices t on t.subject = r.tenant_id and t.tenant_id = r.tenant_id
    where r.key_id = $1";

/// What a request's key is checked against.
pub(super) async fn find_route(tx: &mut PlatformTx, key: ApiKeyId) -> Result<Option<Route>, Error> {
    let Some(row) = tx.query_opt(FIND_ROUTE, &[&key.uuid()]).await? else { return Ok(None) };
    let (scope, mode, account) = (scope(&row)?, mode(&row)?, account(&row));
    let own = joined(&row, "own_role", "own_permissions");
    let effect = account.as_ref().map(|(_, effect)| effect);
    let hash: Option<Vec<u8>> = row.get("previous_hash");
    Ok(Some(Route {
        key: ApiKeyId::from_uuid(row.get("key_id")),
        tenant: TenantId::from_uuid(row.get("tenant_id")),
        secret_hash: row.get("secret_hash"),
        previous: hash.zip(row.get("previous_until")),
        disabled: row.get("disabled"),
        changes: row.get("changes"),
        mode,
        grants: bearer_grants(mode, &scope, &own, effect),
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
