//! Room `identity`: rows of roles.

use misy_core::id::TypedId;
use misy_core::{Permission, Role, RoleId, Timestamp};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use super::model::{self, RoleBook, TenantRole};

/// Reads a column `role` that holds a built-in role.
pub(crate) fn read_role(row: &Row) -> Result<Role, Error> {
    row.get::<_, &str>("role").parse().map_err(|_| Error::Corrupt { column: "role" })
}

const SEED: &str = "
    insert into roles (tenant_id, id, slug, name, parent, built_in)
    select $1, id, slug, name, parent, true
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as new (id, slug, name, parent)
    on conflict (tenant_id, slug) do nothing";

/// Gives a tenant the built-in roles that it has not.
pub(crate) async fn seed(tx: &mut TenantTx) -> Result<(), Error> {
    let roles = Role::OF_TENANT;
    let ids: Vec<Uuid> = roles.iter().map(|_| tx.ambient().uuid()).collect();
    let slugs: Vec<&str> = roles.iter().map(|role| role.slug()).collect();
    let names: Vec<&str> = roles.iter().map(|role| model::title(*role)).collect();
    let parents: Vec<Option<&str>> =
        roles.iter().map(|role| model::parent(*role).map(Role::slug)).collect();
    let tenant = tx.tenant();
    tx.execute(SEED, &[&tenant, &ids, &slugs, &names, &parents]).await.map(drop)
}

const LIST: &str = "
    select id, slug, name, parent, permissions, built_in, version from roles
    where tenant_id = $1 and id > $2 order by id limit $3";

fn read(row: &Row) -> Result<TenantRole, Error> {
    let permissions: Vec<String> = row.get("permissions");
    let own = permissions.iter().map(|slug| slug.parse()).collect::<Result<_, _>>();
    Ok(TenantRole {
        id: RoleId::from_uuid(row.get("id")),
        slug: row.get("slug"),
        name: row.get("name"),
        parent: row.get("parent"),
        own: own.map_err(|_| Error::Corrupt { column: "permissions" })?,
        built_in: row.get("built_in"),
        version: row.get("version"),
    })
}

/// The roles of the tenant after one, oldest first: the built-in ones from the lowest up.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TenantRole>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const BOOK: &str = "
    select id, slug, name, parent, permissions, built_in, version from roles where tenant_id = $1";

/// All roles of the tenant.
pub(crate) async fn book(tx: &mut TenantTx) -> Result<RoleBook, Error> {
    let tenant = tx.tenant();
    let roles = tx.query(BOOK, &[&tenant]).await?.iter().map(read).collect::<Result<Vec<_>, _>>();
    Ok(RoleBook::new(roles?))
}

/// Roles are few and change rarely; who changes one waits for whoever changes another.
const LOCK: &str = "
    select id from roles where tenant_id = $1 and built_in order by id limit 1 for no key update";

/// Nobody else changes the tenant's roles, and nobody gets one, until the transaction ends.
pub(crate) async fn lock(tx: &mut TenantTx) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.query(LOCK, &[&tenant]).await.map(drop)
}

const INSERT: &str = "
    insert into roles (tenant_id, id, slug, name, parent, permissions, built_in)
    values ($1, $2, $3, $4, $5, $6, false)";

/// Adds a role of the tenant's own.
pub(super) async fn insert(tx: &mut TenantTx, role: &TenantRole) -> Result<(), Error> {
    let tenant = tx.tenant();
    let (id, own) = (role.id.uuid(), slugs(&role.own));
    tx.execute(INSERT, &[&tenant, &id, &role.slug, &role.name, &role.parent, &own]).await.map(drop)
}

fn slugs(permissions: &[Permission]) -> Vec<&'static str> {
    permissions.iter().map(|one| one.slug()).collect()
}

const UPDATE: &str = "
    update roles set name = $3, parent = $4, permissions = $5, version = version + 1,
        updated_at = $6
    where tenant_id = $1 and id = $2 and not built_in returning version";

/// Saves name, parent and permissions; gives the new version.
pub(super) async fn update(
    tx: &mut TenantTx,
    role: &TenantRole,
    now: Timestamp,
) -> Result<Option<i64>, Error> {
    let (tenant, id, own) = (tx.tenant(), role.id.uuid(), slugs(&role.own));
    let row = tx.query_opt(UPDATE, &[&tenant, &id, &role.name, &role.parent, &own, &now]).await?;
    Ok(row.map(|row| row.get("version")))
}

const FREE_KEYS: &str = "
    update api_keys set role = null where tenant_id = $1 and role = $2 and status = 'revoked'";
const DELETE: &str = "delete from roles where tenant_id = $1 and slug = $2 and not built_in";

/// Removes a role that nobody has; a revoked key forgets that it had it.
pub(super) async fn delete(tx: &mut TenantTx, slug: &str) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(FREE_KEYS, &[&tenant, &slug]).await?;
    tx.execute(DELETE, &[&tenant, &slug]).await.map(drop)
}
