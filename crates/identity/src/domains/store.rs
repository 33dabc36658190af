//! Room `identity`: rows of domains and of the directory that leads their people home.

use misy_core::id::TypedId;
use misy_core::{DomainId, SsoConnectionId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::{Domain, Realm};

fn read(row: &Row) -> Domain {
    let connection: Option<Uuid> = row.get("connection_id");
    Domain {
        id: DomainId::from_uuid(row.get("id")),
        name: row.get("name"),
        token: row.get("token"),
        connection: connection.map(SsoConnectionId::from_uuid),
        verified_at: row.get("verified_at"),
        checked_at: row.get("checked_at"),
        missing_since: row.get("missing_since"),
        version: row.get("version"),
        created_at: row.get("created_at"),
    }
}

const INSERT: &str = "
    insert into domains (tenant_id, id, name, token, connection_id, created_at)
    values ($1, $2, $3, $4, $5, $6)";

/// Adds a domain.
pub(super) async fn insert(tx: &mut TenantTx, domain: &Domain) -> Result<(), Error> {
    let (tenant, id) = (tx.tenant(), domain.id.uuid());
    let Domain { name, token, created_at, .. } = domain;
    let connection = domain.connection.map(TypedId::uuid);
    tx.execute(INSERT, &[&tenant, &id, name, token, &connection, created_at]).await.map(drop)
}

const FIND: &str = "select * from domains where tenant_id = $1 and id = $2";

/// A domain by id.
pub(super) async fn find(tx: &mut TenantTx, id: DomainId) -> Result<Option<Domain>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read))
}

const LOCK: &str = "select * from domains where tenant_id = $1 and id = $2 for update";

/// A domain by id, which stays as it is until the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx, id: DomainId) -> Result<Option<Domain>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(LOCK, &[&tenant, &id.uuid()]).await?.as_ref().map(read))
}

const LIST: &str = "
    select * from domains where tenant_id = $1 and id > $2
    order by id limit $3";

/// Domains after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Domain>, Error> {
    let tenant = tx.tenant();
    Ok(tx
        .query(LIST, &[&tenant, &after.unwrap_or_default(), &limit])
        .await?
        .iter()
        .map(read)
        .collect())
}

const IS_TENANT: &str = "select from realms where tenant_id = $1";

/// Whether there is such a tenant.
pub(super) async fn is_tenant(tx: &mut PlatformTx, tenant: TenantId) -> Result<bool, Error> {
    Ok(tx.query_opt(IS_TENANT, &[&tenant.uuid()]).await?.is_some())
}

const UPDATE: &str = "
    update domains
    set connection_id = $3, verified_at = $4, checked_at = $5, missing_since = $6,
        version = version + 1
    where tenant_id = $1 and id = $2 returning *";

/// Saves where its people sign in and whether it is proved.
pub(super) async fn update(tx: &mut TenantTx, domain: &Domain) -> Result<Option<Domain>, Error> {
    let (tenant, id) = (tx.tenant(), domain.id.uuid());
    let connection = domain.connection.map(TypedId::uuid);
    let Domain { verified_at, checked_at, missing_since, .. } = domain;
    let row = tx
        .query_opt(UPDATE, &[&tenant, &id, &connection, verified_at, checked_at, missing_since])
        .await?;
    Ok(row.as_ref().map(read))
}

const NOTE_CHECKED: &str = "update domains set checked_at = $3 where tenant_id = $1 and id = $2";

/// Notes that the proof was looked for.
pub(super) async fn note_checked(
    tx: &mut TenantTx,
    id: DomainId,
    now: Timestamp,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(NOTE_CHECKED, &[&tenant, &id.uuid(), &now]).await.map(drop)
}

const SAVE_ROUTE: &str = "
    insert into domain_routes (name, tenant_id, domain_id, connection_id, kind)
    select $3, $1, $2, $4,
        (select kind from sso_connections where tenant_id = $1 and id = $4 and status = 'enabled')
    on conflict (name) do update
        set connection_id = excluded.connection_id, kind = excluded.kind
        where domain_routes.tenant_id = $1";

/// Leads the people of a proved domain to its connection. A name that another tenant has is
/// refused by the wall between them.
pub(super) async fn save_route(tx: &mut TenantTx, domain: &Domain) -> Result<(), Error> {
    let (tenant, id) = (tx.tenant(), domain.id.uuid());
    let connection = domain.connection.map(TypedId::uuid);
    tx.execute(SAVE_ROUTE, &[&tenant, &id, &domain.name, &connection]).await.map(drop)
}

const INSERT_ROUTE: &str =
    "insert into domain_routes (name, tenant_id, domain_id, look_at) values ($3, $1, $2, $4)";

/// Takes a name for this tenant; a violation of its uniqueness if another one has it.
pub(super) async fn insert_route(
    tx: &mut TenantTx,
    domain: &Domain,
    look_at: Timestamp,
) -> Result<(), Error> {
    let (tenant, id) = (tx.tenant(), domain.id.uuid());
    tx.execute(INSERT_ROUTE, &[&tenant, &id, &domain.name, &look_at]).await.map(drop)
}

const DELETE_ROUTE: &str = "delete from domain_routes where tenant_id = $1 and domain_id = $2";

/// Gives a name back that this tenant had.
pub(super) async fn delete_route(tx: &mut TenantTx, id: DomainId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE_ROUTE, &[&tenant, &id.uuid()]).await.map(drop)
}

const LOCK_DUE: &str = "
    select name, tenant_id, domain_id from domain_routes where look_at <= $1
    order by look_at limit 500 for update skip locked";

const LOOK_LATER: &str = "update domain_routes set look_at = $2 where name = any($1)";

/// Domains whose proof is to be looked for now; the next time is then.
pub(super) async fn take_due(
    tx: &mut PlatformTx,
    now: Timestamp,
    then: Timestamp,
) -> Result<Vec<(TenantId, DomainId)>, Error> {
    let rows = tx.query(LOCK_DUE, &[&now]).await?;
    let names: Vec<&str> = rows.iter().map(|row| row.get("name")).collect();
    tx.execute(LOOK_LATER, &[&names, &then]).await?;
    let ids = |row: &Row| {
        let (tenant, domain) = (row.get("tenant_id"), row.get("domain_id"));
        (TenantId::from_uuid(tenant), DomainId::from_uuid(domain))
    };
    Ok(rows.iter().map(ids).collect())
}

const DELETE: &str = "
    with route as (delete from domain_routes where tenant_id = $1 and domain_id = $2)
    delete from domains where tenant_id = $1 and id = $2";

/// Removes a domain and the way home that it gave.
pub(super) async fn delete(tx: &mut TenantTx, id: DomainId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}

const FIND_REALM: &str = "
    select connection_id, kind from domain_routes
    where name = $1 and connection_id is not null and kind is not null";

/// Where the people of a domain sign in.
pub(super) async fn find_realm(tx: &mut PlatformTx, name: &str) -> Result<Option<Realm>, Error> {
    let row = tx.query_opt(FIND_REALM, &[&name]).await?;
    Ok(row.map(|row| Realm {
        connection: SsoConnectionId::from_uuid(row.get("connection_id")),
        kind: row.get("kind"),
    }))
}
