//! Room `identity`: where a sign-in may be switched to.

use misy_core::id::TypedId;
use misy_core::{SessionId, TenantId};
use misy_store::{Error, PlatformTx};
use uuid::Uuid;

use super::model::Reach;
use crate::accounts::model::Standing;
use crate::accounts::store::standing;

const NOTE_REACH: &str = "
    insert into session_reaches (session_id, tenant_id, proof)
    select $1, tenant_id, proof from unnest($2::uuid[], $3::bytea[]) as new (tenant_id, proof)";

/// Notes which tenants a sign-in has proved.
pub(crate) async fn note_reach(
    tx: &mut PlatformTx,
    session: SessionId,
    reach: &Reach,
) -> Result<(), Error> {
    let (tenants, proofs): (Vec<Uuid>, Vec<&[u8]>) =
        reach.iter().map(|(tenant, proof)| (tenant.uuid(), proof.as_slice())).unzip();
    tx.execute(NOTE_REACH, &[&session.uuid(), &tenants, &proofs]).await.map(drop)
}

const COPY_REACH: &str = "
    insert into session_reaches (session_id, tenant_id, proof)
    select $2, tenant_id, proof from session_reaches where session_id = $1";

/// A session that was switched to reaches as far as the one that it came from.
pub(super) async fn copy_reach(
    tx: &mut PlatformTx,
    from: SessionId,
    to: SessionId,
) -> Result<(), Error> {
    tx.execute(COPY_REACH, &[&from.uuid(), &to.uuid()]).await.map(drop)
}

const FIND_TENANT: &str = "
    select r.tenant_id from realms r
    where (r.slug = $1 or r.tenant_id = $2)
      and not exists (select from tenants t where t.id = r.tenant_id and t.status <> 'active')";

/// A tenant by slug or id, unless it may not act now.
pub(super) async fn find_tenant(
    tx: &mut PlatformTx,
    slug: &str,
    id: Option<TenantId>,
) -> Result<Option<TenantId>, Error> {
    let row = tx.query_opt(FIND_TENANT, &[&slug, &id.map(TypedId::uuid)]).await?;
    Ok(row.map(|row| TenantId::from_uuid(row.get("tenant_id"))))
}

/// What a sign-in has proved for a tenant, and what there is now.
pub(super) struct Reached {
    pub(super) standing: Option<Standing>,
    pub(super) proof: Vec<u8>,
    pub(super) password_hash: String,
}

const FIND_REACHED: &str = "
    select m.account_id, m.tenant_id, m.user_id, m.role, m.uv, m.era, null::uuid as operator_id,
           r.proof, c.password_hash
    from session_reaches r
    join sessions s on s.id = r.session_id and s.ended_at is null
    join accounts a on a.id = s.account_id and a.status = 'active'
    join memberships m on m.account_id = a.id and m.tenant_id = r.tenant_id
         and m.status = 'active'
    join credentials c on c.account_id = a.id and c.realm = r.tenant_id
    where r.session_id = $1 and r.tenant_id = $2";

/// Who a sign-in would be in another tenant, if it has proved to be anybody there.
pub(super) async fn find_reached(
    tx: &mut PlatformTx,
    session: SessionId,
    tenant: TenantId,
) -> Result<Option<Reached>, Error> {
    let row = tx.query_opt(FIND_REACHED, &[&session.uuid(), &tenant.uuid()]).await?;
    let Some(row) = row else { return Ok(None) };
    let standing = standing(&row)?;
    let (proof, password_hash) = (row.get("proof"), row.get("password_hash"));
    Ok(Some(Reached { standing, proof, password_hash }))
}
