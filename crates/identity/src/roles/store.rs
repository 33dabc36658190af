//! Room `identity`: rows of roles.

use misy_core::id::TypedId;
use misy_core::{Role, RoleId};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use super::model::{self, TenantRole};

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
    select id, slug, name, parent, permissions, built_in from roles
    where tenant_id = $1 and ($2::uuid is null or id > $2) order by id limit $3";

/// The roles of the tenant after one, oldest first: the built-in ones from the lowest up.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TenantRole>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(LIST, &[&tenant, &after, &limit]).await?;
    let role = |row: &Row| {
        let permissions: Vec<String> = row.get("permissions");
        let own = permissions.iter().map(|slug| slug.parse()).collect::<Result<_, _>>();
        Ok(TenantRole {
            id: RoleId::from_uuid(row.get("id")),
            slug: row.get("slug"),
            name: row.get("name"),
            parent: row.get("parent"),
            own: own.map_err(|_| Error::Corrupt { column: "permissions" })?,
            built_in: row.get("built_in"),
        })
    };
    rows.iter().map(role).collect()
}
