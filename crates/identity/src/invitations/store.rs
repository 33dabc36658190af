//! Room `identity`: invitations, which are letters to people who have no password yet.

use misy_core::id::TypedId;
use misy_core::{InvitationId, Personal, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use super::model::Invitation;
use crate::roles::model::Assigned;
use crate::roles::store::read_role;

fn read(row: &Row) -> Result<Invitation, Error> {
    Ok(Invitation {
        id: InvitationId::from_uuid(row.get("id")),
        user: UserId::from_uuid(row.get("user_id")),
        email: Personal(row.get("email")),
        name: Personal(row.get("name")),
        role: Assigned { base: read_role(row)?, own: row.get("own_role") },
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        sent_at: row.get("sent_at"),
    })
}

const LIST: &str = "
    select l.id, l.user_id, u.email, u.name, u.role, u.own_role, l.created_at, l.expires_at,
           l.sent_at
    from letters l join users u on u.tenant_id = l.tenant_id and u.id = l.user_id
    where l.tenant_id = $1 and l.kind = 'invitation' and l.used_at is null
      and u.status = 'invited' and l.id > $2
    order by l.id limit $3";

/// Open invitations after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Invitation>, Error> {
    let tenant = tx.tenant();
    tx.query(LIST, &[&tenant, &after.unwrap_or_default(), &limit]).await?.iter().map(read).collect()
}

const LOCK: &str = "
    select l.id, l.user_id, u.email, u.name, u.role, u.own_role, l.created_at, l.expires_at,
           l.sent_at
    from letters l join users u on u.tenant_id = l.tenant_id and u.id = l.user_id
    where l.tenant_id = $1 and l.id = $2 and l.kind = 'invitation' and l.used_at is null
      and u.status = 'invited'
    for update of l, u";

/// One open invitation, which stays so until the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx, id: InvitationId) -> Result<Option<Invitation>, Error> {
    let tenant = tx.tenant();
    tx.query_opt(LOCK, &[&tenant, &id.uuid()]).await?.as_ref().map(read).transpose()
}

const RENEW: &str = "
    update letters set nonce = $3, expires_at = $4, sent_at = null
    where tenant_id = $1 and id = $2";

/// Gives an invitation another link; the earlier ones stop working.
pub(super) async fn renew(
    tx: &mut TenantTx,
    id: InvitationId,
    nonce: &[u8],
    expires_at: Timestamp,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(RENEW, &[&tenant, &id.uuid(), &nonce, &expires_at]).await.map(drop)
}

const DELETE: &str = "delete from letters where tenant_id = $1 and id = $2";

/// Withdraws an invitation.
pub(super) async fn delete(tx: &mut TenantTx, id: InvitationId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}
