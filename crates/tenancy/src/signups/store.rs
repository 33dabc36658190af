//! Room `tenancy`: rows of `signups`.

use misy_core::id::TypedId;
use misy_core::{Cursor, Limit, Personal, SignupId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row};

use super::model::{NewSignup, Signup, Status};

const LOCK_ALL: &str = "select pg_advisory_xact_lock(7305164, 1)";

const COUNT: &str = "
    select count(*) filter (where peer = $1) as by_peer,
        count(*) filter (where email = $2) as by_email
    from signups where created_at > $3 and (peer = $1 or email = $2)";

const IS_TAKEN: &str = "
    select exists (select from tenants where slug = $1 and status not in ('failed', 'purged'))
        or exists (select from signups where slug = $1 and status = 'waiting') as taken";

const INSERT: &str = "
    insert into signups (id, slug, name, email, owner_name, locale, time_zone, plan, status,
        nonce, peer, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', $9, $10, $11, $12)";

const FIND: &str = "select * from signups where id = $1";

const LOCK: &str = "select * from signups where id = $1 for update";

const LIST: &str = "
    select * from signups
    where id > $1 and ($2::text is null or status = $2)
    order by id limit $3";

const UPDATE: &str = "
    update signups set slug = $2, status = $3, seed = $4, tenant_id = $5, reason = $6,
        verified_at = $7, decided_at = $8
    where id = $1";

const REOPEN: &str = "
    update signups set status = case when seed is null then 'pending' else 'waiting' end,
        tenant_id = null, decided_at = null
    where status = 'accepted'
      and tenant_id in (select id from tenants where status = 'failed')
      and ($1::uuid is null or id = $1)";

const FORGET_SEEDS: &str = "
    update signups set seed = null
    where status = 'accepted' and seed is not null
      and tenant_id in (select id from tenants where status not in ('provisioning', 'failed'))";

const FORGET: &str = "delete from signups where tenant_id = $1";

const SWEEP: &str = "
    delete from signups where id in (
        select id from signups
        where (status = 'pending' and expires_at < $1)
           or (status in ('accepted', 'rejected') and decided_at < $2)
           or tenant_id in (select id from tenants where status = 'purged')
        limit 5000)";

/// One at a time is let through to be counted, so that nobody gets past a limit in a crowd.
pub(super) async fn lock_all(tx: &mut PlatformTx) -> Result<(), Error> {
    tx.query(LOCK_ALL, &[]).await.map(drop)
}

/// How many were begun since, from this network and for this address.
pub(super) async fn count(
    tx: &mut PlatformTx,
    peer: &[u8],
    email: &str,
    since: Timestamp,
) -> Result<(i64, i64), Error> {
    let row = tx.query_opt(COUNT, &[&peer, &email, &since]).await?;
    Ok(row.map_or((0, 0), |row| (row.get("by_peer"), row.get("by_email"))))
}

/// Whether a tenant has the name, or somebody waits for it.
pub(super) async fn is_taken(tx: &mut PlatformTx, slug: &str) -> Result<bool, Error> {
    Ok(tx.query_opt(IS_TAKEN, &[&slug]).await?.is_some_and(|row| row.get("taken")))
}

/// Writes a new one.
pub(super) async fn insert(tx: &mut PlatformTx, new: &Signup, peer: &[u8]) -> Result<(), Error> {
    let Signup { id, asked, plan, nonce, created_at, expires_at, .. } = new;
    let NewSignup { slug, name, email, owner_name, locale, time_zone } = asked;
    let params: [&(dyn misy_store::ToSql + Sync); 12] = [
        &id.uuid(),
        slug,
        name,
        &email.0,
        &owner_name.0,
        locale,
        time_zone,
        plan,
        nonce,
        &peer,
        created_at,
        expires_at,
    ];
    tx.execute(INSERT, &params).await.map(drop)
}

/// One.
pub(super) async fn find(tx: &mut PlatformTx, id: SignupId) -> Result<Option<Signup>, Error> {
    tx.query_opt(FIND, &[&id.uuid()]).await?.as_ref().map(read).transpose()
}

/// One that nobody else decides about until the transaction ends.
pub(super) async fn lock(tx: &mut PlatformTx, id: SignupId) -> Result<Option<Signup>, Error> {
    tx.query_opt(LOCK, &[&id.uuid()]).await?.as_ref().map(read).transpose()
}

/// One page, oldest first.
pub(super) async fn list(
    tx: &mut PlatformTx,
    status: Option<Status>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Signup>, Error> {
    let (after, status) = (Cursor::after(cursor), status.map(Status::slug));
    let rows = tx.query(LIST, &[&after, &status, &limit.fetch()]).await?;
    rows.iter().map(read).collect()
}

/// Writes what became of one.
pub(super) async fn update(tx: &mut PlatformTx, new: &Signup) -> Result<(), Error> {
    let (id, tenant) = (new.id.uuid(), new.tenant.map(TypedId::uuid));
    let Signup { seed, reason, verified_at, decided_at, .. } = new;
    let params: [&(dyn misy_store::ToSql + Sync); 8] =
        [&id, &new.asked.slug, &new.status.slug(), seed, &tenant, reason, verified_at, decided_at];
    tx.execute(UPDATE, &params).await.map(drop)
}

/// Opens again what became a tenant that could not be made: one, or all of them.
pub(super) async fn reopen(tx: &mut PlatformTx, id: Option<SignupId>) -> Result<(), Error> {
    tx.execute(REOPEN, &[&id.map(TypedId::uuid)]).await.map(drop)
}

/// Forgets the passwords of those whose tenants are there.
pub(super) async fn forget_seeds(tx: &mut PlatformTx) -> Result<(), Error> {
    tx.execute(FORGET_SEEDS, &[]).await.map(drop)
}

/// Drops what led to a tenant that is gone.
pub(crate) async fn forget(tx: &mut PlatformTx, tenant: TenantId) -> Result<(), Error> {
    tx.execute(FORGET, &[&tenant.uuid()]).await.map(drop)
}

/// Drops those that expired before `now` and those that were decided before `decided`.
pub(super) async fn sweep(
    tx: &mut PlatformTx,
    now: Timestamp,
    decided: Timestamp,
) -> Result<u64, Error> {
    tx.execute(SWEEP, &[&now, &decided]).await
}

fn read(row: &Row) -> Result<Signup, Error> {
    let tenant: Option<uuid::Uuid> = row.get("tenant_id");
    let status = Status::parse(row.get("status")).ok_or(Error::Corrupt { column: "status" })?;
    Ok(Signup {
        id: SignupId::from_uuid(row.get("id")),
        asked: NewSignup {
            slug: row.get("slug"),
            name: row.get("name"),
            email: Personal(row.get("email")),
            owner_name: Personal(row.get("owner_name")),
            locale: row.get("locale"),
            time_zone: row.get("time_zone"),
        },
        plan: row.get("plan"),
        status,
        nonce: row.get("nonce"),
        seed: row.get("seed"),
        tenant: tenant.map(TenantId::from_uuid),
        reason: row.get("reason"),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        verified_at: row.get("verified_at"),
        decided_at: row.get("decided_at"),
    })
}
