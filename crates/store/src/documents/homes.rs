//! Room `store`: where a tenant's documents live, which every write asks under a lock that a move
//! takes for itself, and which documents were written while a second home is kept.

use misy_core::crypto::sha256;
use misy_core::id::TypedId;
use misy_core::{Ctx, TenantId};
use uuid::Uuid;

use crate::{Db, Error, TenantTx};

/// Whether the connection that holds the lock is still there.
const STILL_THERE: &str = "select 1";

const STATE: &str = "
    select home, other, phase, at_kind, at_id, copied from document_homes where tenant_id = $1";

/// Decided once and by the first who writes: a tenant with documents stays where they are.
const SETTLE: &str = "
    insert into document_homes (tenant_id, home)
    select $1, case when $2 and not exists (select from documents where tenant_id = $1)
               then 'mongo' else 'embedded' end
    on conflict (tenant_id) do nothing";

const TRY_LOCK: &str = "select pg_try_advisory_xact_lock($1)";

const NOTE: &str = "
    insert into document_changes (tenant_id, kind, id, stamp)
    select $1, $2, id, $4 from unnest($3::uuid[]) as new (id) order by id
    on conflict (tenant_id, kind, id) do update set stamp = excluded.stamp";

const NOTE_UNKNOWN: &str = "
    insert into document_changes (tenant_id, kind, id, stamp)
    select $1, $2, id, $4 from unnest($3::uuid[]) as new (id) order by id
    on conflict (tenant_id, kind, id) do nothing";

const CHANGES: &str = "
    select kind, id, stamp from document_changes where tenant_id = $1 order by kind, id limit $2";

const COUNT_CHANGES: &str = "select count(*) from document_changes where tenant_id = $1";

/// A document that was written again meanwhile has another stamp and stays.
const FORGET: &str = "
    delete from document_changes c using unnest($2::text[], $3::uuid[], $4::uuid[])
        as done (kind, id, stamp)
    where c.tenant_id = $1 and c.kind = done.kind and c.id = done.id and c.stamp = done.stamp";

const FORGET_ALL: &str = "delete from document_changes where tenant_id = $1";

const SET: &str = "
    update document_homes set home = $2, other = $3, phase = $4, at_kind = '', at_id = null,
        copied = 0, updated_at = now()
    where tenant_id = $1";

const ADVANCE: &str = "
    update document_homes set at_kind = $2, at_id = $3, copied = copied + $4, updated_at = now()
    where tenant_id = $1";

/// Where documents can live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In tables of the database itself.
    Embedded,
    /// In collections of a document server.
    Mongo,
}

impl Home {
    const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Mongo => "mongo",
        }
    }

    /// The home of a name; `None` if there is none of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Embedded, Self::Mongo].into_iter().find(|home| home.name() == name)
    }

    /// The other one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Embedded => Self::Mongo,
            Self::Mongo => Self::Embedded,
        }
    }
}

impl std::fmt::Display for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is one home.
    Settled,
    /// The other home is being filled.
    Copying,
    /// The move is done and the old home is kept, so that there is a way back.
    Open,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Copying => "copying",
            Self::Open => "open",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Settled, Self::Copying, Self::Open].into_iter().find(|phase| phase.name() == name)
    }
}

/// What is written down about a tenant's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where they are read and written.
    pub home: Home,
    /// The home that follows, if one does.
    pub other: Option<Home>,
    /// How far a move is.
    pub phase: Phase,
    /// The kind that is being copied; empty before the first.
    pub at_kind: String,
    /// The last document of the kind that was copied.
    pub at_id: Option<Uuid>,
    /// Documents copied so far.
    pub copied: i64,
}

/// A document that the other home has to see again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: String,
    pub(super) id: Uuid,
    pub(super) stamp: Uuid,
}

/// One number a tenant and purpose, for the server's advisory locks.
fn lock_of(tenant: TenantId, purpose: &str) -> i64 {
    let digest = sha256(&[purpose.as_bytes(), tenant.uuid().as_bytes()].concat());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(bytes)
}

/// The lock under which documents are written.
const WRITING: &str = "documents: writing";

/// A transaction in which the tenant's home stays what it is.
pub(super) async fn entered(
    db: &Db,
    ctx: &Ctx,
    has_mongo: bool,
) -> Result<(TenantTx, State), Error> {
    locked(db, ctx, has_mongo, "pg_advisory_xact_lock_shared").await
}

/// A transaction in which nobody writes any document of the tenant.
pub(super) async fn alone(db: &Db, ctx: &Ctx, has_mongo: bool) -> Result<(TenantTx, State), Error> {
    locked(db, ctx, has_mongo, "pg_advisory_xact_lock").await
}

/// The lock is taken by a statement of its own, so that the next one sees what its last holder did.
async fn locked(
    db: &Db,
    ctx: &Ctx,
    has_mongo: bool,
    function: &str,
) -> Result<(TenantTx, State), Error> {
    let lock = lock_of(ctx.tenant(), WRITING);
    let mut tx = db.tenant_after(ctx, &format!("SELECT {function}({lock})")).await?;
    let state = known(&mut tx, has_mongo).await?;
    Ok((tx, state))
}

/// Takes a lock for as long as the transaction lasts; `None` if another has it.
pub(super) async fn hold(db: &Db, ctx: &Ctx, purpose: &str) -> Result<Option<Hold>, Error> {
    let mut tx = db.tenant_apart(ctx).await?;
    let row = tx.query_opt(TRY_LOCK, &[&lock_of(ctx.tenant(), purpose)]).await?;
    Ok(row.is_some_and(|row| row.get(0)).then_some(Hold(tx)))
}

/// A lock that is held.
pub(super) struct Hold(TenantTx);

impl Hold {
    /// Fails if the lock was lost with its connection; keeps the transaction from being idle for
    /// too long.
    pub(super) async fn still(&mut self) -> Result<(), Error> {
        self.0.query(STILL_THERE, &[]).await.map(drop)
    }

    /// Gives the lock back before this returns.
    pub(super) async fn release(self) -> Result<(), Error> {
        self.0.commit().await
    }
}

/// The state, decided now if it never was.
async fn known(tx: &mut TenantTx, has_mongo: bool) -> Result<State, Error> {
    if let Some(state) = find(tx).await? {
        return Ok(state);
    }
    let tenant = tx.tenant();
    tx.execute(SETTLE, &[&tenant, &has_mongo]).await?;
    find(tx).await?.ok_or(Error::Corrupt { column: "home" })
}

/// Decides that the documents of a tenant live in the database, if it was never decided.
pub(super) async fn settle(tx: &mut TenantTx) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(SETTLE, &[&tenant, &false]).await.map(drop)
}

/// The state; `None` before the first write.
pub(super) async fn find(tx: &mut TenantTx) -> Result<Option<State>, Error> {
    let tenant = tx.tenant();
    let Some(row) = tx.query_opt(STATE, &[&tenant]).await? else { return Ok(None) };
    let corrupt = |column| Error::Corrupt { column };
    let other: Option<&str> = row.get("other");
    Ok(Some(State {
        home: Home::parse(row.get("home")).ok_or(corrupt("home"))?,
        other: other.map(|name| Home::parse(name).ok_or(corrupt("other"))).transpose()?,
        phase: Phase::parse(row.get("phase")).ok_or(corrupt("phase"))?,
        at_kind: row.get("at_kind"),
        at_id: row.get("at_id"),
        copied: row.get("copied"),
    }))
}

/// Starts a phase.
pub(super) async fn set(
    tx: &mut TenantTx,
    home: Home,
    other: Option<Home>,
    phase: Phase,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    let other = other.map(Home::name);
    tx.execute(SET, &[&tenant, &home.name(), &other, &phase.name()]).await.map(drop)
}

/// Writes down how far copying has come.
pub(super) async fn advance(
    tx: &mut TenantTx,
    kind: &str,
    id: Option<Uuid>,
    copied: usize,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    let copied = i64::try_from(copied).unwrap_or(i64::MAX);
    tx.execute(ADVANCE, &[&tenant, &kind, &id, &copied]).await.map(drop)
}

/// Notes durably that a document is about to change, apart from whatever else is under way.
pub(super) async fn note_first(db: &Db, ctx: &Ctx, kind: &str, id: Uuid) -> Result<(), Error> {
    let mut tx = db.tenant_apart(ctx).await?;
    note(&mut tx, kind, &[id]).await?;
    tx.commit().await
}

/// Notes that documents are about to change.
pub(super) async fn note(tx: &mut TenantTx, kind: &str, ids: &[Uuid]) -> Result<(), Error> {
    let (tenant, stamp) = (tx.tenant(), tx.ambient().uuid());
    tx.execute(NOTE, &[&tenant, &kind, &ids, &stamp]).await.map(drop)
}

/// Notes those documents that nobody has noted; gives their number.
pub(super) async fn note_unknown(
    tx: &mut TenantTx,
    kind: &str,
    ids: &[Uuid],
) -> Result<u64, Error> {
    let (tenant, stamp) = (tx.tenant(), tx.ambient().uuid());
    tx.execute(NOTE_UNKNOWN, &[&tenant, &kind, &ids, &stamp]).await
}

/// Some of what changed.
pub(super) async fn changes(tx: &mut TenantTx, limit: i64) -> Result<Vec<Change>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(CHANGES, &[&tenant, &limit]).await?;
    let change = |row: &crate::Row| Change { kind: row.get(0), id: row.get(1), stamp: row.get(2) };
    Ok(rows.iter().map(change).collect())
}

/// How many documents changed.
pub(super) async fn count_changes(tx: &mut TenantTx) -> Result<u64, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(COUNT_CHANGES, &[&tenant]).await?;
    let count = row.and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok());
    count.ok_or(Error::Corrupt { column: "count" })
}

/// Forgets what the other home has seen.
pub(super) async fn forget(tx: &mut TenantTx, done: &[Change]) -> Result<(), Error> {
    let tenant = tx.tenant();
    let kinds: Vec<&str> = done.iter().map(|change| change.kind.as_str()).collect();
    let ids: Vec<Uuid> = done.iter().map(|change| change.id).collect();
    let stamps: Vec<Uuid> = done.iter().map(|change| change.stamp).collect();
    tx.execute(FORGET, &[&tenant, &kinds, &ids, &stamps]).await.map(drop)
}

/// Forgets all changes: no other home is kept any more.
pub(super) async fn forget_all(tx: &mut TenantTx) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(FORGET_ALL, &[&tenant]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_database_are_read_as_they_were_written() {
        for home in [Home::Embedded, Home::Mongo] {
            assert_eq!(Home::parse(home.name()), Some(home));
            assert_ne!(home.opposite(), home);
            assert_eq!(home.opposite().opposite(), home);
        }
        for phase in [Phase::Settled, Phase::Copying, Phase::Open] {
            assert_eq!(Phase::parse(phase.name()), Some(phase));
        }
        assert_eq!((Home::parse(""), Phase::parse("moved")), (None, None));
    }

    #[test]
    fn each_tenant_and_purpose_has_a_lock_of_its_own() {
        let tenant = |number| TenantId::from_uuid(Uuid::from_u128(number));
        let one = lock_of(tenant(1), WRITING);
        assert_eq!(one, lock_of(tenant(1), WRITING));
        assert_ne!(one, lock_of(tenant(2), WRITING));
        assert_ne!(one, lock_of(tenant(1), "documents: moving"));
    }
}
