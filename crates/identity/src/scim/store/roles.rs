//! Room `identity`: rows of which group stands for which role, and whose role came from one.

use misy_core::id::TypedId;
use misy_core::{Role, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use crate::roles::store::read_role;
use crate::scim::model::groups::Mapping;
use crate::scim::model::people::key_of;

const LIST: &str = "
    select name, role from scim_role_mappings where tenant_id = $1 order by name_key";

/// Which group stands for which role.
pub(crate) async fn list(tx: &mut TenantTx) -> Result<Vec<Mapping>, Error> {
    let tenant = tx.tenant();
    let read = |row: &Row| Ok(Mapping { group: row.get("name"), role: read_role(row)? });
    tx.query(LIST, &[&tenant]).await?.iter().map(read).collect()
}

const CLEAR: &str = "delete from scim_role_mappings where tenant_id = $1";

const FILL: &str = "
    insert into scim_role_mappings (tenant_id, name_key, name, role)
    select $1, key, name, role from unnest($2::text[], $3::text[], $4::text[])
        as new (key, name, role)";

/// Replaces all mappings.
pub(crate) async fn replace(tx: &mut TenantTx, mappings: &[Mapping]) -> Result<(), Error> {
    let tenant = tx.tenant();
    let keys: Vec<String> = mappings.iter().map(|one| key_of(&one.group)).collect();
    let names: Vec<&str> = mappings.iter().map(|one| one.group.trim()).collect();
    let roles: Vec<&str> = mappings.iter().map(|one| one.role.slug()).collect();
    tx.execute(CLEAR, &[&tenant]).await?;
    tx.execute(FILL, &[&tenant, &keys, &names, &roles]).await.map(drop)
}

const MEMBERS: &str = "
    select user_id from scim_members where tenant_id = $1
    union select user_id from scim_given_roles where tenant_id = $1";

/// Everybody whose role may depend on a group.
pub(crate) async fn everybody(tx: &mut TenantTx) -> Result<Vec<UserId>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(MEMBERS, &[&tenant]).await?;
    Ok(rows.iter().map(|row| UserId::from_uuid(row.get("user_id"))).collect())
}

const LOCK: &str = "
    select id from users where tenant_id = $1 and id = any($2) order by id for update";

/// Keeps these people as they are until the transaction ends; gives those who are there.
pub(crate) async fn lock(tx: &mut TenantTx, people: &[UserId]) -> Result<Vec<UserId>, Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = people.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(LOCK, &[&tenant, &ids]).await?;
    Ok(rows.iter().map(|row| UserId::from_uuid(row.get("id"))).collect())
}

/// What decides somebody's role.
pub(crate) struct Position {
    pub(crate) user: UserId,
    pub(crate) role: Role,
    pub(crate) by_group: bool,
    /// What their groups are mapped to.
    pub(crate) mapped: Vec<Role>,
}

const POSITIONS: &str = "
    select u.id, u.role, g.user_id is not null as by_group,
           array_remove(array_agg(r.role), null) as mapped
    from users u
    left join scim_given_roles g on g.tenant_id = $1 and g.user_id = u.id
    left join scim_members m on m.tenant_id = $1 and m.user_id = u.id
    left join scim_groups s on s.tenant_id = $1 and s.id = m.group_id
    left join scim_role_mappings r on r.tenant_id = $1 and r.name_key = s.name_key
    where u.tenant_id = $1 and u.id = any($2) group by u.id, u.role, g.user_id";

/// What decides the roles of these people.
pub(crate) async fn positions(
    tx: &mut TenantTx,
    people: &[UserId],
) -> Result<Vec<Position>, Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = people.iter().map(|id| id.uuid()).collect();
    let rows = tx.query(POSITIONS, &[&tenant, &ids]).await?;
    let read = |row: &Row| {
        let mapped: Vec<String> = row.get("mapped");
        let mapped = mapped.iter().filter_map(|slug| slug.parse().ok()).collect();
        let user = UserId::from_uuid(row.get("id"));
        Ok(Position { user, role: read_role(row)?, by_group: row.get("by_group"), mapped })
    };
    rows.iter().map(read).collect()
}

const GIVE: &str = "
    with new as (select id, role from unnest($2::uuid[], $3::text[]) as given (id, role)),
    changed as (
        update users u set role = new.role, version = u.version + 1, updated_at = $4 from new
        where u.tenant_id = $1 and u.id = new.id returning u.id, u.role)
    update memberships m set role = changed.role, uv = m.uv + 1 from changed
    where m.tenant_id = $1 and m.user_id = changed.id and m.role <> changed.role
    returning m.user_id, m.uv";

/// Gives roles and marks these people as changed. Answers with the versions below which tokens are
/// dead, of those whose role is another now.
pub(crate) async fn give(
    tx: &mut TenantTx,
    roles: &[(UserId, Role)],
    now: Timestamp,
) -> Result<Vec<(Uuid, i64)>, Error> {
    let tenant = tx.tenant();
    let ids: Vec<Uuid> = roles.iter().map(|(id, _)| id.uuid()).collect();
    let slugs: Vec<&str> = roles.iter().map(|(_, role)| role.slug()).collect();
    let rows = tx.query(GIVE, &[&tenant, &ids, &slugs, &now]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("uv"))).collect())
}

const UNMARK: &str = "
    delete from scim_given_roles where tenant_id = $1 and user_id = any($2)";

const MARK: &str = "
    insert into scim_given_roles (tenant_id, user_id)
    select $1, id from unnest($2::uuid[]) as given (id) on conflict do nothing";

/// Remembers whose role came from a group, and whose did not.
pub(crate) async fn mark(
    tx: &mut TenantTx,
    by_group: &[UserId],
    by_hand: &[UserId],
) -> Result<(), Error> {
    let tenant = tx.tenant();
    let uuids = |ids: &[UserId]| ids.iter().map(|id| id.uuid()).collect::<Vec<Uuid>>();
    tx.execute(UNMARK, &[&tenant, &uuids(by_hand)]).await?;
    tx.execute(MARK, &[&tenant, &uuids(by_group)]).await.map(drop)
}
