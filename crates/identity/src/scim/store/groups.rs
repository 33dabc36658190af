//! Room `identity`: rows of groups and their members.

use std::collections::HashMap;

use misy_core::id::TypedId;
use misy_core::{ScimGroupId, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use crate::scim::model::groups::Group;
use crate::scim::model::people::key_of;

fn read(row: &Row) -> Group {
    Group {
        id: ScimGroupId::from_uuid(row.get("id")),
        name: row.get("name"),
        external_id: row.get("external_id"),
        members: Vec::new(),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

const FIND: &str = "select * from scim_groups where tenant_id = $1 and id = $2";
const LOCK: &str = "select * from scim_groups where tenant_id = $1 and id = $2 for update";

/// A group; with `keep` nobody else changes it until the transaction ends.
pub(crate) async fn find(
    tx: &mut TenantTx,
    id: ScimGroupId,
    keep: bool,
) -> Result<Option<Group>, Error> {
    let tenant = tx.tenant();
    let sql = if keep { LOCK } else { FIND };
    let found = tx.query_opt(sql, &[&tenant, &id.uuid()]).await?;
    let mut groups: Vec<Group> = found.iter().map(read).collect();
    add_members(tx, &mut groups).await?;
    Ok(groups.pop())
}

const PAGE: &str = "
    select * from scim_groups where tenant_id = $1 order by id offset $2 limit $3";

/// Groups in the order in which they came; `with_members` costs a look at each member.
pub(crate) async fn page(
    tx: &mut TenantTx,
    skip: i64,
    limit: i64,
    with_members: bool,
) -> Result<Vec<Group>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(PAGE, &[&tenant, &skip, &limit]).await?;
    let mut groups: Vec<Group> = rows.iter().map(read).collect();
    if with_members {
        add_members(tx, &mut groups).await?;
    }
    Ok(groups)
}

const COUNT: &str = "select count(*) as count from scim_groups where tenant_id = $1";

/// How many groups there are.
pub(crate) async fn count(tx: &mut TenantTx) -> Result<i64, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(COUNT, &[&tenant]).await?.map_or(0, |row| row.get("count")))
}

const NAMED: &str = "
    select * from scim_groups where tenant_id = $1 and id in (
        select id from scim_groups where tenant_id = $1 and name_key = $2
        union select id from scim_groups where tenant_id = $1 and external_id = $3
        union select group_id from scim_members where tenant_id = $1 and user_id = $4)
    order by id";

/// Groups that a directory looks for by name, by its own id, or by a member.
pub(crate) async fn named(
    tx: &mut TenantTx,
    name: Option<&str>,
    external_id: Option<&str>,
    member: Option<UserId>,
) -> Result<Vec<Group>, Error> {
    let (tenant, key) = (tx.tenant(), name.map(key_of));
    let member = member.map(TypedId::uuid);
    let rows = tx.query(NAMED, &[&tenant, &key, &external_id, &member]).await?;
    let mut groups: Vec<Group> = rows.iter().map(read).collect();
    add_members(tx, &mut groups).await?;
    Ok(groups)
}

const MEMBERS_OF: &str = "
    select group_id, user_id from scim_members
    where tenant_id = $1 and group_id = any($2) order by user_id";

async fn add_members(tx: &mut TenantTx, groups: &mut [Group]) -> Result<(), Error> {
    if groups.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = groups.iter().map(|group| group.id.uuid()).collect();
    let tenant = tx.tenant();
    let mut members: HashMap<Uuid, Vec<UserId>> = HashMap::new();
    for row in tx.query(MEMBERS_OF, &[&tenant, &ids]).await? {
        let member = UserId::from_uuid(row.get("user_id"));
        members.entry(row.get("group_id")).or_default().push(member);
    }
    for group in groups {
        group.members = members.remove(&group.id.uuid()).unwrap_or_default();
    }
    Ok(())
}

const SAVE: &str = "
    insert into scim_groups (tenant_id, id, name, name_key, external_id, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $6)
    on conflict (tenant_id, id) do update
        set name = excluded.name, name_key = excluded.name_key,
            external_id = excluded.external_id, version = scim_groups.version + 1,
            updated_at = excluded.updated_at";

const DROP_MEMBERS: &str = "
    delete from scim_members where tenant_id = $1 and group_id = $2 and not user_id = any($3)";

const ADD_MEMBERS: &str = "
    insert into scim_members (tenant_id, group_id, user_id)
    select $1, $2, id from unnest($3::uuid[]) as new (id)
    on conflict (tenant_id, group_id, user_id) do nothing";

/// Keeps a group with exactly these members.
pub(crate) async fn save(
    tx: &mut TenantTx,
    id: ScimGroupId,
    name: &str,
    external_id: Option<&str>,
    members: &[UserId],
    now: Timestamp,
) -> Result<(), Error> {
    let (tenant, id, key) = (tx.tenant(), id.uuid(), key_of(name));
    let members: Vec<Uuid> = members.iter().map(|member| member.uuid()).collect();
    tx.execute(SAVE, &[&tenant, &id, &name, &key, &external_id, &now]).await?;
    tx.execute(DROP_MEMBERS, &[&tenant, &id, &members]).await?;
    tx.execute(ADD_MEMBERS, &[&tenant, &id, &members]).await.map(drop)
}

const DELETE: &str = "delete from scim_groups where tenant_id = $1 and id = $2";

/// Removes a group; its members stay people of the tenant.
pub(crate) async fn delete(tx: &mut TenantTx, id: ScimGroupId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}
