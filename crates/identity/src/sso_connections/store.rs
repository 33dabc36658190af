//! Room `identity`: rows of connections and of the directory that leads to them.

use misy_core::id::TypedId;
use misy_core::{SsoConnectionId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Connection, Kind, Status};

fn read(row: &Row) -> Result<Connection, Error> {
    let corrupt = |column: &'static str| Error::Corrupt { column };
    let (kind, status): (&str, &str) = (row.get("kind"), row.get("status"));
    let (settings, rules): (Value, Value) = (row.get("settings"), row.get("rules"));
    Ok(Connection {
        id: SsoConnectionId::from_uuid(row.get("id")),
        kind: Kind::from_slug(kind).ok_or_else(|| corrupt("kind"))?,
        name: row.get("name"),
        status: Status::from_slug(status).ok_or_else(|| corrupt("status"))?,
        settings: serde_json::from_value(settings).map_err(|_| corrupt("settings"))?,
        secrets: row.get("secrets"),
        secret_names: row.get("secret_names"),
        rules: serde_json::from_value(rules).map_err(|_| corrupt("rules"))?,
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("settings and rules are JSON by construction")
}

const INSERT: &str = "
    with route as (
        insert into sso_routes (connection_id, tenant_id, kind) values ($2, $1, $3))
    insert into sso_connections (tenant_id, id, kind, name, status, settings, secrets, secret_names,
        rules, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)";

/// Adds a connection.
pub(super) async fn insert(tx: &mut TenantTx, new: &Connection) -> Result<(), Error> {
    let (tenant, id, settings, rules) =
        (tx.tenant(), new.id.uuid(), json(&new.settings), json(&new.rules));
    tx.execute(
        INSERT,
        &[
            &tenant,
            &id,
            &new.kind.slug(),
            &new.name,
            &new.status.slug(),
            &settings,
            &new.secrets,
            &new.secret_names,
            &rules,
            &new.created_at,
        ],
    )
    .await
    .map(drop)
}

const FIND: &str = "select * from sso_connections where tenant_id = $1 and id = $2";

/// A connection by id.
pub(crate) async fn find(
    tx: &mut TenantTx,
    id: SsoConnectionId,
) -> Result<Option<Connection>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const LOCK: &str = "select * from sso_connections where tenant_id = $1 and id = $2 for update";

/// A connection by id, which stays as it is until the transaction ends.
pub(super) async fn lock(
    tx: &mut TenantTx,
    id: SsoConnectionId,
) -> Result<Option<Connection>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(LOCK, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const LIST: &str = "
    select * from sso_connections where tenant_id = $1 and id > $2
    order by id limit $3";

/// Connections after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Connection>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const UPDATE: &str = "
    with routes as (
        update domain_routes set kind = case when $4 = 'enabled' then $10 end
        where tenant_id = $1 and connection_id = $2)
    update sso_connections
    set name = $3, status = $4, settings = $5, secrets = $6, secret_names = $7, rules = $8,
        version = version + 1, updated_at = $9
    where tenant_id = $1 and id = $2 returning *";

/// Saves a changed connection.
pub(super) async fn update(
    tx: &mut TenantTx,
    after: &Connection,
    now: Timestamp,
) -> Result<Option<Connection>, Error> {
    let (tenant, id, settings, rules) =
        (tx.tenant(), after.id.uuid(), json(&after.settings), json(&after.rules));
    let row = tx
        .query_opt(
            UPDATE,
            &[
                &tenant,
                &id,
                &after.name,
                &after.status.slug(),
                &settings,
                &after.secrets,
                &after.secret_names,
                &rules,
                &now,
                &after.kind.slug(),
            ],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

const DELETE: &str = "
    with route as (delete from sso_routes where tenant_id = $1 and connection_id = $2),
    domains as (
        update domain_routes set connection_id = null, kind = null
        where tenant_id = $1 and connection_id = $2)
    delete from sso_connections where tenant_id = $1 and id = $2";

/// Removes a connection with everything that hangs on it.
pub(super) async fn delete(tx: &mut TenantTx, id: SsoConnectionId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}

const FIND_ROUTE: &str = "
    select r.tenant_id from sso_routes r
    where r.connection_id = $1 and r.kind = $2
      and not exists (select from tenants t where t.id = r.tenant_id and t.status <> 'active')";

/// The tenant of a connection of this kind, unless it may not act now.
pub(crate) async fn find_route(
    tx: &mut PlatformTx,
    id: SsoConnectionId,
    kind: Kind,
) -> Result<Option<TenantId>, Error> {
    let row = tx.query_opt(FIND_ROUTE, &[&id.uuid(), &kind.slug()]).await?;
    Ok(row.map(|row| TenantId::from_uuid(row.get("tenant_id"))))
}
