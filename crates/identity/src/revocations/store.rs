//! Room `identity`: revocations in the database, written by whoever revokes in the same
//! transaction.

use misy_core::Timestamp;
use misy_core::id::TypedId;
use misy_core::{TenantId, UserId};
use misy_store::{Error, PlatformTx, TenantTx};
use uuid::Uuid;

use super::model::Floor;

/// `clock_timestamp`, because a floor must be kept for as long as tokens from before its commit.
const RAISE: &str = "
    insert into revocations (subject, tenant_id, kind, minimum, created_at)
    select subject, $2, $3, minimum, clock_timestamp()
    from unnest($1::uuid[], $4::bigint[]) as raised (subject, minimum)
    on conflict (subject) do update
        set minimum = greatest(revocations.minimum, excluded.minimum),
            txid = pg_current_xact_id(), created_at = excluded.created_at";

/// Tokens of these sessions below their versions are dead.
pub(crate) async fn raise_sessions(
    tx: &mut PlatformTx,
    tenant: Option<TenantId>,
    sessions: &[(Uuid, i64)],
) -> Result<(), Error> {
    raise(tx, tenant, "session", sessions).await
}

/// Tokens of this user or operator below the version are dead.
pub(crate) async fn raise_person(
    tx: &mut PlatformTx,
    tenant: Option<TenantId>,
    person: Uuid,
    minimum: i64,
) -> Result<(), Error> {
    raise(tx, tenant, "user", &[(person, minimum)]).await
}

async fn raise(
    tx: &mut PlatformTx,
    tenant: Option<TenantId>,
    kind: &str,
    raised: &[(Uuid, i64)],
) -> Result<(), Error> {
    let (subjects, minima): (Vec<Uuid>, Vec<i64>) = raised.iter().copied().unzip();
    let tenant = tenant.map(TypedId::uuid);
    tx.execute(RAISE, &[&subjects, &tenant, &kind, &minima]).await.map(drop)
}

/// The same for a user, from inside their tenant.
pub(crate) async fn raise_user(tx: &mut TenantTx, user: UserId, minimum: i64) -> Result<(), Error> {
    let (subjects, minima, tenant) = (vec![user.uuid()], vec![minimum], Some(tx.tenant()));
    tx.execute(RAISE, &[&subjects, &tenant, &"user", &minima]).await.map(drop)
}

/// The same for several of them.
pub(crate) async fn raise_users(tx: &mut TenantTx, raised: &[(Uuid, i64)]) -> Result<(), Error> {
    let (subjects, minima): (Vec<Uuid>, Vec<i64>) = raised.iter().copied().unzip();
    let tenant = Some(tx.tenant());
    tx.execute(RAISE, &[&subjects, &tenant, &"user", &minima]).await.map(drop)
}

const RAISE_UNTIL: &str = "
    insert into revocations (subject, tenant_id, kind, minimum, created_at)
    values ($1, $2, 'session', $3, $4)
    on conflict (subject) do update
        set minimum = greatest(revocations.minimum, excluded.minimum),
            txid = pg_current_xact_id(), created_at = excluded.created_at";

/// Tokens of this session below the version are dead, and stay so until they have expired: they
/// may live longer than others, and so must what keeps them dead.
pub(crate) async fn raise_until(
    tx: &mut TenantTx,
    session: Uuid,
    minimum: i64,
    expires_at: Timestamp,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(RAISE_UNTIL, &[&session, &tenant, &minimum, &expires_at]).await.map(drop)
}

/// Transactions below the snapshot's `xmin` have ended, so the next look may begin there.
const LIST_SINCE: &str = "
    select pg_snapshot_xmin(pg_current_snapshot())::text as next, subject, minimum, created_at
    from (select) as always left join revocations on txid >= $1::text::xid8";

/// Everything that was committed since the last look, and where the next one begins.
pub(super) async fn list_since(
    tx: &mut PlatformTx,
    since: &str,
) -> Result<(Vec<Floor>, String), Error> {
    let rows = tx.query(LIST_SINCE, &[&since]).await?;
    let next = rows.first().map_or_else(|| since.to_owned(), |row| row.get("next"));
    let floor = |row: &misy_store::Row| {
        let subject: Option<Uuid> = row.get("subject");
        subject.map(|subject| Floor {
            subject,
            minimum: row.get("minimum"),
            raised_at: row.get("created_at"),
        })
    };
    Ok((rows.iter().filter_map(floor).collect(), next))
}

const SWEEP: &str = "delete from revocations where created_at < $1";

/// Forgets what no living token can be below.
pub(crate) async fn sweep(tx: &mut PlatformTx, before: Timestamp) -> Result<u64, Error> {
    tx.execute(SWEEP, &[&before]).await
}
