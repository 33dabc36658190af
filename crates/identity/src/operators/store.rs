//! Room `identity`: rows of people of the platform.

use misy_core::id::TypedId;
use misy_core::{OperatorId, Personal};
use misy_store::{Error, PlatformTx, Row, ToSql};
use uuid::Uuid;

use super::model::Operator;
use crate::accounts::store::PLATFORM;
use crate::roles::store::read_role;

fn read(row: &Row) -> Result<Operator, Error> {
    Ok(Operator {
        id: OperatorId::from_uuid(row.get("id")),
        email: Personal(row.get("email")),
        name: Personal(row.get("name")),
        role: read_role(row)?,
        active: row.get::<_, &str>("status") == "active",
        version: row.get("version"),
        created_at: row.get("created_at"),
    })
}

const LIST: &str = "
    select o.id, a.email, o.name, o.role, o.status, o.version, o.created_at
    from operators o join accounts a on a.id = o.account_id
    where o.id > $1 order by o.id limit $2";

/// People of the platform after one, oldest first.
pub(super) async fn list(
    tx: &mut PlatformTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Operator>, Error> {
    tx.query(LIST, &[&after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const LOCK_ALL: &str = "select id from operators order by id for update";
const ALL: &str = "
    select o.id, a.email, o.name, o.role, o.status, o.version, o.created_at
    from operators o join accounts a on a.id = o.account_id";

/// Everybody, who stay as they are until the transaction ends: they are few. Locked first, so that
/// what is read is what the one before has left.
pub(super) async fn lock_all(tx: &mut PlatformTx) -> Result<Vec<Operator>, Error> {
    tx.query(LOCK_ALL, &[]).await?;
    tx.query(ALL, &[]).await?.iter().map(read).collect()
}

const INSERT: &str = "
    with account as (
        insert into accounts (id, email) values ($1, $2)
        on conflict (email) do update set email = excluded.email returning id),
    credential as (
        insert into credentials (account_id, realm, password_hash)
        select id, $4, $5 from account)
    insert into operators (id, account_id, role, name, created_at)
    select $3, id, $6, $7, $8 from account";

/// Adds a person with a password for the platform.
pub(super) async fn insert(
    tx: &mut PlatformTx,
    operator: &Operator,
    hash: &str,
) -> Result<(), Error> {
    let (account, id, role) = (tx.ambient().uuid(), operator.id.uuid(), operator.role.slug());
    let (email, name) = (&operator.email.0, &operator.name.0);
    let params: [&(dyn ToSql + Sync); 8] =
        [&account, email, &id, &PLATFORM, &hash, &role, name, &operator.created_at];
    tx.execute(INSERT, &params).await.map(drop)
}

const UPDATE: &str = "
    update operators set name = $2, role = $3,
        status = case when $4 then 'active' else 'disabled' end,
        version = version + 1, uv = uv + case when $5 then 1 else 0 end,
        era = era + case when $4 then 0 else 1 end
    where id = $1 returning version, uv";

/// Saves a change; gives the new version and the one below which tokens are dead, which is a new
/// one if what they may do has changed.
pub(super) async fn update(
    tx: &mut PlatformTx,
    operator: &Operator,
    access_changed: bool,
) -> Result<Option<(i64, i64)>, Error> {
    let (id, name, role) = (operator.id.uuid(), &operator.name.0, operator.role.slug());
    let row = tx.query_opt(UPDATE, &[&id, name, &role, &operator.active, &access_changed]).await?;
    Ok(row.map(|row| (row.get("version"), row.get("uv"))))
}
