//! Room `identity`: rows of people as a directory keeps them.

use std::collections::HashMap;

use misy_core::id::TypedId;
use misy_core::{Personal, ScimGroupId, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx};
use serde_json::Value;
use uuid::Uuid;

use crate::scim::model::people::{Entry, Wanted, key_of};
use crate::users::model::{Status, User};
use crate::users::store as users;

fn read(row: &Row) -> Result<Entry, Error> {
    let document: Option<Value> = row.get("document");
    Ok(Entry { user: users::read(row)?, document: document.map(Personal), groups: Vec::new() })
}

const FIND: &str = "
    select u.*, s.document from users u
    left join scim_users s on s.tenant_id = $1 and s.user_id = u.id
    where u.tenant_id = $1 and u.id = $2";

const LOCK: &str = "
    select u.*, s.document from users u
    left join scim_users s on s.tenant_id = $1 and s.user_id = u.id
    where u.tenant_id = $1 and u.id = $2 for update of u";

/// A person; with `keep` nobody else changes them until the transaction ends.
pub(crate) async fn find(
    tx: &mut TenantTx,
    id: UserId,
    keep: bool,
) -> Result<Option<Entry>, Error> {
    let tenant = tx.tenant();
    let sql = if keep { LOCK } else { FIND };
    let found = tx.query_opt(sql, &[&tenant, &id.uuid()]).await?;
    let mut entries: Vec<Entry> = found.iter().map(read).collect::<Result<_, _>>()?;
    add_groups(tx, &mut entries).await?;
    Ok(entries.pop())
}

const PAGE: &str = "
    select u.*, s.document from users u
    left join scim_users s on s.tenant_id = $1 and s.user_id = u.id
    where u.tenant_id = $1 order by u.id offset $2 limit $3";

/// People in the order in which they came.
pub(crate) async fn page(tx: &mut TenantTx, skip: i64, limit: i64) -> Result<Vec<Entry>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(PAGE, &[&tenant, &skip, &limit]).await?;
    let mut entries = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    add_groups(tx, &mut entries).await?;
    Ok(entries)
}

const COUNT: &str = "select count(*) as count from users where tenant_id = $1";

/// How many people there are.
pub(crate) async fn count(tx: &mut TenantTx) -> Result<i64, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(COUNT, &[&tenant]).await?.map_or(0, |row| row.get("count")))
}

const NAMED: &str = "
    select u.*, s.document from users u
    left join scim_users s on s.tenant_id = $1 and s.user_id = u.id
    where u.tenant_id = $1 and u.id in (
        select user_id from scim_users where tenant_id = $1 and name_key = $2
        union select id from users where tenant_id = $1 and email = $2
        union select user_id from scim_users where tenant_id = $1 and external_id = $3)
    order by u.id";

/// People whom a directory looks for by `userName`, by an address, or by its own id.
pub(crate) async fn named(
    tx: &mut TenantTx,
    name: Option<&str>,
    external_id: Option<&str>,
) -> Result<Vec<Entry>, Error> {
    let (tenant, key) = (tx.tenant(), name.map(key_of));
    let rows = tx.query(NAMED, &[&tenant, &key, &external_id]).await?;
    let mut entries = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    add_groups(tx, &mut entries).await?;
    Ok(entries)
}

const GROUPS_OF: &str = "
    select m.user_id, g.id, g.name from scim_members m
    join scim_groups g on g.tenant_id = $1 and g.id = m.group_id
    where m.tenant_id = $1 and m.user_id = any($2) order by g.name_key";

async fn add_groups(tx: &mut TenantTx, entries: &mut [Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.user.id.uuid()).collect();
    let tenant = tx.tenant();
    let mut groups: HashMap<Uuid, Vec<(ScimGroupId, String)>> = HashMap::new();
    for row in tx.query(GROUPS_OF, &[&tenant, &ids]).await? {
        let group = (ScimGroupId::from_uuid(row.get("id")), row.get("name"));
        groups.entry(row.get("user_id")).or_default().push(group);
    }
    for entry in entries {
        entry.groups = groups.remove(&entry.user.id.uuid()).unwrap_or_default();
    }
    Ok(())
}

const SAVE: &str = "
    insert into scim_users (tenant_id, user_id, name_key, external_id, document)
    values ($1, $2, $3, $4, $5)
    on conflict (tenant_id, user_id) do update
        set name_key = excluded.name_key, external_id = excluded.external_id,
            document = excluded.document";

/// Keeps what a directory says of a person.
pub(crate) async fn save(tx: &mut TenantTx, id: UserId, wanted: &Wanted) -> Result<(), Error> {
    let tenant = tx.tenant();
    let key = key_of(&wanted.user_name.0);
    tx.execute(SAVE, &[&tenant, &id.uuid(), &key, &wanted.external_id, &wanted.document.0])
        .await
        .map(drop)
}

const UPDATE: &str = "
    update users set account_id = $3, email = $4, name = $5, status = $6, version = version + 1,
        updated_at = $7
    where tenant_id = $1 and id = $2 returning *";

/// Carries what a directory says of a person to the people of the tenant.
pub(crate) async fn update(
    tx: &mut TenantTx,
    user: &User,
    now: Timestamp,
) -> Result<Option<User>, Error> {
    let tenant = tx.tenant();
    let (id, status) = (user.id.uuid(), user.status.slug());
    let row = tx
        .query_opt(
            UPDATE,
            &[&tenant, &id, &user.account, &user.email.0, &user.name.0, &status, &now],
        )
        .await?;
    row.as_ref().map(users::read).transpose()
}

const UPDATE_MEMBERSHIP: &str = "
    update memberships
    set account_id = $3, status = $4, uv = uv + 1, era = era + case when $5 then 1 else 0 end
    where tenant_id = $1 and user_id = $2 returning uv";

/// The same for the directory of sign-in. Gives the version below which tokens are dead; with
/// `shut_out` the sessions are dead too.
pub(crate) async fn update_membership(
    tx: &mut TenantTx,
    user: &User,
    shut_out: bool,
) -> Result<Option<i64>, Error> {
    let tenant = tx.tenant();
    let status: &str = Status::slug(user.status);
    let row = tx
        .query_opt(
            UPDATE_MEMBERSHIP,
            &[&tenant, &user.id.uuid(), &user.account, &status, &shut_out],
        )
        .await?;
    Ok(row.map(|row| row.get("uv")))
}
