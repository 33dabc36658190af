//! Room `identity`: rows of visits, and the version of the operators who come.

use misy_core::id::TypedId;
use misy_core::{ImpersonationId, OperatorId, Timestamp, UserId};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::Visit;
use crate::roles::store::read_role;

fn read(row: &Row) -> Result<Visit, Error> {
    let user: Option<Uuid> = row.get("user_id");
    Ok(Visit {
        id: ImpersonationId::from_uuid(row.get("id")),
        operator: OperatorId::from_uuid(row.get("operator_id")),
        user: user.map(UserId::from_uuid),
        role: read_role(row)?,
        read_only: row.get("read_only"),
        reason: row.get("reason"),
        started_at: row.get("started_at"),
        expires_at: row.get("expires_at"),
        ended_at: row.get("ended_at"),
        ended_by: row.get("ended_by"),
    })
}

const INSERT: &str = "
    insert into impersonations (tenant_id, id, operator_id, user_id, role, read_only, reason,
        started_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Notes a visit that begins.
pub(super) async fn insert(tx: &mut TenantTx, visit: &Visit) -> Result<(), Error> {
    let (tenant, id, operator) = (tx.tenant(), visit.id.uuid(), visit.operator.uuid());
    let user = visit.user.map(TypedId::uuid);
    let (role, read_only) = (visit.role.slug(), visit.read_only);
    let Visit { reason, started_at, expires_at, .. } = visit;
    tx.execute(
        INSERT,
        &[&tenant, &id, &operator, &user, &role, &read_only, reason, started_at, expires_at],
    )
    .await
    .map(drop)
}

const LIST: &str = "
    select * from impersonations where tenant_id = $1 and id < $2
    order by id desc limit $3";

/// Visits before one, latest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Visit>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &before.unwrap_or(Uuid::max()), &limit])
        .await?
        .iter()
        .map(read)
        .collect()
}

const LOCK: &str = "select * from impersonations where tenant_id = $1 and id = $2 for update";

/// A visit by id, which stays as it is until the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx, id: ImpersonationId) -> Result<Option<Visit>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(LOCK, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const END: &str = "
    update impersonations set ended_at = $3, ended_by = $4
    where tenant_id = $1 and id = $2 returning *";

/// Ends a visit.
pub(super) async fn end(
    tx: &mut TenantTx,
    id: ImpersonationId,
    by: &str,
    now: Timestamp,
) -> Result<Option<Visit>, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(END, &[&tenant, &id.uuid(), &now, &by]).await?;
    row.as_ref().map(read).transpose()
}

const OPERATOR_VERSION: &str = "
    select o.uv from operators o join accounts a on a.id = o.account_id and a.status = 'active'
    where o.id = $1 and o.status = 'active'";

/// The version of an operator who may act.
pub(super) async fn find_operator_version(
    tx: &mut PlatformTx,
    operator: OperatorId,
) -> Result<Option<i64>, Error> {
    let row = tx.query_opt(OPERATOR_VERSION, &[&operator.uuid()]).await?;
    Ok(row.map(|row| row.get("uv")))
}
