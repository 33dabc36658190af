//! Room `store`: the answer to a request with an `Idempotency-Key`, kept in the mutation's own
//! transaction (semantics:
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
//!
//! [`begin`] opens the transaction, takes a lock on the key and looks for an earlier answer. The
//! request's work then runs inside [`Pending::run`]: its first transaction is the opened one, and
//! its commit is held back until [`Pending::finish`] has added the answer. Mutation and answer are
//! committed together, so a crash leaves both or neither. Work that needs a second transaction
//! makes the first one final, with the key but without the answer, which is added at the end; so
//! does a read, which would not see what is held back. Work that commits only outside the opened
//! transaction (across tenants, or after it gave the opened one up) has its answer added at the
//! end as well.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use misy_core::id::TypedId;
use misy_core::{Ctx, PlatformCtx, TenantId};
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;

use crate::seats::Hold;
use crate::session::{Deferred, Mode, Session};
use crate::{Db, Error};

/// For whom a key is remembered: the same key of another actor is another key.
#[derive(Debug, Clone)]
pub enum Scope {
    /// An actor of a tenant.
    Tenant(Ctx),
    /// An operator.
    Platform(PlatformCtx),
}

impl Scope {
    fn owner(&self) -> Option<TenantId> {
        match self {
            Self::Tenant(ctx) => Some(ctx.tenant()),
            Self::Platform(_) => None,
        }
    }

    fn actor(&self) -> String {
        match self {
            Self::Tenant(ctx) => ctx.actor().to_string(),
            Self::Platform(ctx) => ctx.actor().to_string(),
        }
    }

    async fn session(&self, db: &Db, hold: Hold) -> Result<Session, Error> {
        match self {
            Self::Tenant(ctx) => db.tenant_session(ctx, Mode::Whole, hold).await,
            Self::Platform(_) => db.platform_session(Mode::Whole, hold).await,
        }
    }
}

/// An answer as it was first given. The body is opaque here: `web` seals it, for it may hold a
/// secret that is shown only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Content type and other headers worth repeating, as JSON.
    pub headers: serde_json::Value,
    /// The sealed body.
    pub body: Vec<u8>,
}

/// What a key leads to.
#[derive(Debug)]
pub enum Begun {
    /// It was used before, for the same request.
    Replay(Answer),
    /// It was used before, for the same request, whose answer was lost in a crash after its work
    /// was done.
    AnswerLost,
    /// It was used before, for another request.
    Mismatch,
    /// The first request with it still runs.
    InFlight,
    /// It is new.
    Fresh(Pending),
}

enum Slot {
    /// Opened and locked, not yet asked for.
    Prepared(Session),
    /// In the hands of the request's work.
    Taken,
    /// The work is done, the commit held back.
    Parked(Session),
    /// Committed without the answer, because the work began another transaction.
    Committed,
}

struct Shared {
    slot: Mutex<Slot>,
    /// Something was committed by a transaction that is not the opened one.
    elsewhere: AtomicBool,
    record: Record,
}

#[derive(Clone)]
struct Record {
    scope: Scope,
    key: String,
    fingerprint: [u8; 32],
}

tokio::task_local! {
    static SHARED: Arc<Shared>;
}

/// A request's work, between its begin and its answer.
pub struct Pending {
    db: Db,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

const LOCK: &str = "select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked";

const FIND_TENANT: &str = "
    select fingerprint, status, headers, body, created_at > now() - interval '1 minute' as young
    from idempotency_keys
    where tenant_id = $1 and actor = $2 and key = $3
      and created_at > now() - interval '24 hours'";
const FIND_PLATFORM: &str = "
    select fingerprint, status, headers, body, created_at > now() - interval '1 minute' as young
    from platform_idempotency_keys
    where $1::uuid is null and actor = $2 and key = $3
      and created_at > now() - interval '24 hours'";

const SAVE_TENANT: &str = "
    with expired as (
        delete from idempotency_keys where tenant_id = $1 and (actor, key) in (
            select actor, key from idempotency_keys
            where tenant_id = $1 and created_at <= now() - interval '24 hours' limit 100)
          and (actor, key) <> ($2, $3))
    insert into idempotency_keys (tenant_id, actor, key, fingerprint, status, headers, body)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (tenant_id, actor, key) do update
        set fingerprint = excluded.fingerprint, status = excluded.status,
            headers = excluded.headers, body = excluded.body, created_at = now()";
const SAVE_PLATFORM: &str = "
    with expired as (
        delete from platform_idempotency_keys where $1::uuid is null and (actor, key) in (
            select actor, key from platform_idempotency_keys
            where created_at <= now() - interval '24 hours' limit 100)
          and (actor, key) <> ($2, $3))
    insert into platform_idempotency_keys (actor, key, fingerprint, status, headers, body)
    values ($2, $3, $4, $5, $6, $7)
    on conflict (actor, key) do update
        set fingerprint = excluded.fingerprint, status = excluded.status,
            headers = excluded.headers, body = excluded.body, created_at = now()";

/// Whether this task works for a request that carries a key.
#[must_use]
pub fn is_keyed() -> bool {
    SHARED.try_with(|_| ()).is_ok()
}

/// Opens the transaction of a request that carries a key. `fingerprint` is a hash of method, path
/// and body.
pub async fn begin(
    db: &Db,
    scope: Scope,
    key: &str,
    fingerprint: [u8; 32],
) -> Result<Begun, Error> {
    let mut session = scope.session(db, Hold::Long).await?;
    let record = Record { scope, key: key.to_owned(), fingerprint };
    let lock_name = format!("{:?}/{}/{key}", record.scope.owner(), record.scope.actor());
    let rows = session.query(LOCK, &[&lock_name]).await?;
    if !rows.first().is_some_and(|row| row.get("locked")) {
        session.roll_back().await;
        return Ok(Begun::InFlight);
    }
    if let Some(earlier) = find(&mut session, &record).await? {
        session.roll_back().await;
        return Ok(earlier);
    }
    session.mark_prepared();
    let slot = Mutex::new(Slot::Prepared(session));
    let shared = Arc::new(Shared { slot, elsewhere: AtomicBool::new(false), record });
    Ok(Begun::Fresh(Pending { db: db.clone(), shared }))
}

async fn find(session: &mut Session, record: &Record) -> Result<Option<Begun>, Error> {
    let owner = record.scope.owner();
    let sql = if owner.is_some() { FIND_TENANT } else { FIND_PLATFORM };
    let actor = record.scope.actor();
    let rows = session.query(sql, &[&owner.map(TypedId::uuid), &actor, &record.key]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    if row.get::<_, Vec<u8>>("fingerprint") != record.fingerprint {
        return Ok(Some(Begun::Mismatch));
    }
    let Some(status) = row.get::<_, Option<i16>>("status") else {
        let young = row.get("young");
        return Ok(Some(if young { Begun::InFlight } else { Begun::AnswerLost }));
    };
    Ok(Some(Begun::Replay(Answer {
        status: u16::try_from(status).map_err(|_| Error::Corrupt { column: "status" })?,
        headers: row.get("headers"),
        body: row.get("body"),
    })))
}

fn save(record: &Record, answer: Option<Answer>) -> Deferred {
    let owner = record.scope.owner();
    let (status, headers, body) = match answer {
        Some(answer) => {
            (i16::try_from(answer.status).ok(), Some(answer.headers), Some(answer.body))
        }
        None => (None, None, None),
    };
    let params: Vec<Box<dyn ToSql + Sync + Send>> = vec![
        Box::new(owner.map(TypedId::uuid)),
        Box::new(record.scope.actor()),
        Box::new(record.key.clone()),
        Box::new(record.fingerprint.to_vec()),
        Box::new(status),
        Box::new(headers),
        Box::new(body),
    ];
    Deferred { sql: if owner.is_some() { SAVE_TENANT } else { SAVE_PLATFORM }, params }
}

impl Pending {
    /// Runs the request's work, whose first transaction is the opened one.
    pub async fn run<F: Future>(&self, work: F) -> F::Output {
        SHARED.scope(Arc::clone(&self.shared), work).await
    }

    /// Commits the work together with its answer. Work that committed nothing leaves nothing, and
    /// the key stays unused.
    pub async fn finish(self, answer: Answer) -> Result<(), Error> {
        let mut slot = self.shared.slot.lock().await;
        let record = &self.shared.record;
        let elsewhere = self.shared.elsewhere.load(Ordering::Relaxed);
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Prepared(session) if elsewhere => {
                session.commit(vec![save(record, Some(answer))]).await?;
            }
            Slot::Prepared(session) => session.roll_back().await,
            Slot::Taken if !elsewhere => {}
            Slot::Parked(session) => {
                session.commit(vec![save(record, Some(answer))]).await?;
                self.db.wake().signal();
                self.db.parcel_wake().signal();
            }
            Slot::Taken | Slot::Committed => {
                let session = record.scope.session(&self.db, Hold::Brief).await?;
                session.commit(vec![save(record, Some(answer))]).await?;
            }
        }
        Ok(())
    }
}

/// The opened transaction, if the work that asks is a keyed request of this tenant and asks first.
pub(crate) async fn take_prepared(tenant: TenantId) -> Result<Option<Session>, Error> {
    take(Some(tenant)).await
}

/// The same for an operator's request.
pub(crate) async fn take_prepared_platform() -> Result<Option<Session>, Error> {
    take(None).await
}

async fn take(owner: Option<TenantId>) -> Result<Option<Session>, Error> {
    let Ok(shared) = SHARED.try_with(Arc::clone) else { return Ok(None) };
    let mut slot = shared.slot.lock().await;
    match std::mem::replace(&mut *slot, Slot::Taken) {
        Slot::Prepared(session) if shared.record.scope.owner() == owner => Ok(Some(session)),
        other => {
            *slot = settled(other, &shared.record).await?;
            Ok(None)
        }
    }
}

/// Makes a held-back commit final, without its answer.
async fn settled(slot: Slot, record: &Record) -> Result<Slot, Error> {
    let Slot::Parked(session) = slot else { return Ok(slot) };
    session.commit(vec![save(record, None)]).await?;
    Ok(Slot::Committed)
}

/// Called before a read on another connection, which would not see what is held back.
pub(crate) async fn settle() -> Result<(), Error> {
    let Ok(shared) = SHARED.try_with(Arc::clone) else { return Ok(()) };
    let mut slot = shared.slot.lock().await;
    let held = std::mem::replace(&mut *slot, Slot::Taken);
    *slot = settled(held, &shared.record).await?;
    Ok(())
}

/// Commits, unless the session is a keyed request's opened one: that waits for the answer.
pub(crate) async fn commit_or_park(
    mut session: Session,
    deferred: Vec<Deferred>,
) -> Result<Vec<u64>, Error> {
    let Ok(shared) = SHARED.try_with(Arc::clone) else { return session.commit(deferred).await };
    if !session.is_prepared() {
        let counts = session.commit(deferred).await?;
        shared.elsewhere.store(true, Ordering::Relaxed);
        return Ok(counts);
    }
    let counts = session.flush_open(deferred).await?;
    *shared.slot.lock().await = Slot::Parked(session);
    Ok(counts)
}
