//! Room `identity`: rows of users and of the directory that leads to them.

use misy_core::id::TypedId;
use misy_core::{Personal, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use super::model::{Status, User};
use crate::roles::store::read_role;

/// A person from their row.
pub(crate) fn read(row: &Row) -> Result<User, Error> {
    let status: &str = row.get("status");
    Ok(User {
        id: UserId::from_uuid(row.get("id")),
        account: row.get("account_id"),
        email: Personal(row.get("email")),
        name: Personal(row.get("name")),
        role: read_role(row)?,
        own_role: row.get("own_role"),
        status: Status::from_slug(status).ok_or(Error::Corrupt { column: "status" })?,
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

const INSERT: &str = "
    with member as (
        insert into memberships (tenant_id, user_id, account_id, role, status)
        values ($1, $2, $3, $6, $7))
    insert into users (tenant_id, id, account_id, email, name, role, status, created_at, updated_at,
        own_role)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)";

/// Adds a person.
pub(crate) async fn insert(tx: &mut TenantTx, user: &User) -> Result<(), Error> {
    let (tenant, id) = (tx.tenant(), user.id.uuid());
    tx.execute(
        INSERT,
        &[
            &tenant,
            &id,
            &user.account,
            &user.email.0,
            &user.name.0,
            &user.role.slug(),
            &user.status.slug(),
            &user.created_at,
            &user.own_role,
        ],
    )
    .await
    .map(drop)
}

const COUNT: &str = "select count(*) as people from users where tenant_id = $1";

/// All people of the tenant, whether or not they can come in.
pub(super) async fn count(tx: &mut TenantTx) -> Result<i64, Error> {
    let row = tx.query_opt(COUNT, &[&tx.tenant()]).await?;
    Ok(row.map_or(0, |row| row.get("people")))
}

const FIND: &str = "select * from users where tenant_id = $1 and id = $2";

/// A person by id.
pub(crate) async fn find(tx: &mut TenantTx, id: UserId) -> Result<Option<User>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const LOCK: &str = "select * from users where tenant_id = $1 and id = $2 for update";

/// A person by id, who stays as they are until the transaction ends.
pub(crate) async fn lock(tx: &mut TenantTx, id: UserId) -> Result<Option<User>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(LOCK, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const LOCK_BY_EMAIL: &str = "select * from users where tenant_id = $1 and email = $2 for update";

/// A person by normalised address, who stays as they are until the transaction ends.
pub(crate) async fn lock_by_email(tx: &mut TenantTx, email: &str) -> Result<Option<User>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(LOCK_BY_EMAIL, &[&tenant, &email]).await?.as_ref().map(read).transpose()
}

const LOCK_OWNERS: &str = "
    select id from users
    where tenant_id = $1 and role = 'owner' and status = 'active' order by id for update";

/// The owners who can sign in; they stay so until the transaction ends.
pub(super) async fn lock_owners(tx: &mut TenantTx) -> Result<Vec<UserId>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(LOCK_OWNERS, &[&tenant]).await?;
    Ok(rows.iter().map(|row| UserId::from_uuid(row.get("id"))).collect())
}

const LIST_STEWARDS: &str = "
    select id, account_id from users
    where tenant_id = $1 and role in ('owner', 'admin') and status = 'active' order by id";

/// Everybody who runs the tenant and can come in, with their accounts.
pub(crate) async fn list_stewards(tx: &mut TenantTx) -> Result<Vec<(UserId, Uuid)>, Error> {
    let rows = tx.query(LIST_STEWARDS, &[&tx.tenant()]).await?;
    let steward = |row: &Row| (UserId::from_uuid(row.get("id")), row.get("account_id"));
    Ok(rows.iter().map(steward).collect())
}

const LIST: &str = "
    select * from users where tenant_id = $1 and id > $2
    order by id limit $3";

/// People after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<User>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const UPDATE: &str = "
    update users set name = $3, role = $4, status = $5, version = version + 1, updated_at = $6,
        own_role = $7
    where tenant_id = $1 and id = $2 returning *";

/// Saves name, role and status.
pub(crate) async fn update(
    tx: &mut TenantTx,
    user: &User,
    now: Timestamp,
) -> Result<Option<User>, Error> {
    let (tenant, id) = (tx.tenant(), user.id.uuid());
    let row = tx
        .query_opt(
            UPDATE,
            &[
                &tenant,
                &id,
                &user.name.0,
                &user.role.slug(),
                &user.status.slug(),
                &now,
                &user.own_role,
            ],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

const UPDATE_MEMBERSHIP: &str = "
    update memberships
    set role = $3, status = $4, uv = uv + 1, era = era + case when $5 then 1 else 0 end
    where tenant_id = $1 and user_id = $2 returning uv";

/// Carries role and status to the directory; gives the version below which tokens are dead. With
/// `shut_out` the sessions die too.
pub(crate) async fn update_membership(
    tx: &mut TenantTx,
    user: &User,
    shut_out: bool,
) -> Result<Option<i64>, Error> {
    let (tenant, id) = (tx.tenant(), user.id.uuid());
    let row = tx
        .query_opt(
            UPDATE_MEMBERSHIP,
            &[&tenant, &id, &user.role.slug(), &user.status.slug(), &shut_out],
        )
        .await?;
    Ok(row.map(|row| row.get("uv")))
}

const DELETE: &str = "
    with member as (delete from memberships where tenant_id = $1 and user_id = $2)
    delete from users where tenant_id = $1 and id = $2";

/// Removes a person.
pub(crate) async fn delete(tx: &mut TenantTx, id: UserId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}

const COUNT_OTHERS: &str = "
    select greatest(count(*) - 1, 0) from users where tenant_id = $1 and status <> 'disabled'";

/// How many people there are, or are invited, beside the first.
pub(crate) async fn count_others(tx: &mut TenantTx) -> Result<i64, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(COUNT_OTHERS, &[&tenant]).await?.map_or(0, |row| row.get(0)))
}
