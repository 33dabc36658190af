//! Room `store`: a transaction inside one tenant, and one across tenants.

use misy_core::event::Happening;
use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, EventId, PlatformCtx, TenantId};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::audit::{Audit, Leaf};
use crate::outbox::{self, NewEvent};
use crate::session::{Deferred, Session};
use crate::{Db, Error, JobRow, idempotency};

const INSERT_JOBS: &str = "
    insert into jobs (id, tenant_id, state, name, lane, payload, envelope, run_at)
    select id, $1, case when run_at is null then 'ready' else 'deferred' end,
           name, lane, payload, envelope, run_at
    from unnest($2::uuid[], $3::text[], $4::text[], $5::json[], $6::json[], $7::timestamptz[])
        as new (id, name, lane, payload, envelope, run_at)";

/// Jobs whose lane has one already that is not claimed yet are left out. Asked as a range over the
/// whole index key, so that no plan walks anything else.
const ANNOUNCE_JOBS: &str = "
    insert into jobs (id, tenant_id, state, name, lane, payload, envelope)
    select id, tenant_id, 'ready', name, lane, payload, envelope
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::json[], $6::json[])
        as new (id, tenant_id, name, lane, payload, envelope)
    where (select true from jobs waiting where waiting.lane is not null
            and (waiting.owner, waiting.lane, waiting.id) >= (new.tenant_id, new.lane, $7::uuid)
            and (waiting.owner, waiting.lane, waiting.id) <= (new.tenant_id, new.lane, $8::uuid)
            and waiting.state in ('ready', 'blocked')
        order by waiting.owner, waiting.lane, waiting.id limit 1) is null";

const INSERT_AUDIT: &str = "
    insert into audit_records
        (id, tenant_id, actor, action, resource, resource_id, detail, request_id)
    select id, $1, actor, action, resource, resource_id, detail, request_id
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[])
        as new (id, actor, action, resource, resource_id, detail, request_id)";

const INSERT_PLATFORM_AUDIT: &str = "
    insert into platform_audit_records
        (id, tenant_id, actor, action, resource, resource_id, detail, request_id)
    select id, $1, actor, action, resource, resource_id, detail, request_id
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::text[])
        as new (id, actor, action, resource, resource_id, detail, request_id)";

/// What waits for the commit.
#[derive(Default)]
struct Pending {
    jobs: Vec<(Option<TenantId>, JobRow)>,
    announced: Vec<(TenantId, JobRow)>,
    leaves: Vec<Leaf>,
    events: Vec<NewEvent>,
    others: Vec<Deferred>,
}

impl Pending {
    /// One statement for all jobs of a tenant, one for all audit leaves, and the last for all
    /// events.
    fn statements(self, tenant: Option<TenantId>, audit_sql: &'static str) -> Vec<Deferred> {
        let mut statements = self.others;
        if !self.announced.is_empty() {
            statements.push(announce_jobs(&self.announced));
        }
        let mut jobs = self.jobs;
        while let Some((owner, _)) = jobs.first() {
            let owner = *owner;
            let (of_owner, rest) = jobs.into_iter().partition(|(one, _)| *one == owner);
            statements.push(insert_jobs(owner, of_owner));
            jobs = rest;
        }
        if !self.leaves.is_empty() {
            statements.push(insert_audit(tenant, audit_sql, self.leaves));
        }
        if !self.events.is_empty() {
            statements.push(outbox::emit(tenant.map(TypedId::uuid), self.events));
        }
        statements
    }
}

fn insert_jobs(tenant: Option<TenantId>, jobs: Vec<(Option<TenantId>, JobRow)>) -> Deferred {
    let rows: Vec<JobRow> = jobs.into_iter().map(|(_, row)| row).collect();
    let column = |pick: fn(&JobRow) -> Value| rows.iter().map(pick).collect::<Vec<_>>();
    Deferred {
        sql: INSERT_JOBS,
        params: vec![
            Box::new(tenant.map(TypedId::uuid)),
            Box::new(rows.iter().map(|row| row.id.uuid()).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.name).collect::<Vec<_>>()),
            Box::new(rows.iter().map(|row| row.lane.clone()).collect::<Vec<_>>()),
            Box::new(column(|row| row.payload.clone())),
            Box::new(column(|row| row.envelope.clone())),
            Box::new(rows.iter().map(|row| row.run_at).collect::<Vec<_>>()),
        ],
    }
}

fn announce_jobs(jobs: &[(TenantId, JobRow)]) -> Deferred {
    let rows = || jobs.iter().map(|(_, row)| row);
    Deferred {
        sql: ANNOUNCE_JOBS,
        params: vec![
            Box::new(rows().map(|row| row.id.uuid()).collect::<Vec<_>>()),
            Box::new(jobs.iter().map(|(tenant, _)| tenant.uuid()).collect::<Vec<_>>()),
            Box::new(rows().map(|row| row.name).collect::<Vec<_>>()),
            Box::new(rows().map(|row| row.lane.clone()).collect::<Vec<_>>()),
            Box::new(rows().map(|row| row.payload.clone()).collect::<Vec<_>>()),
            Box::new(rows().map(|row| row.envelope.clone()).collect::<Vec<_>>()),
            Box::new(Uuid::nil()),
            Box::new(Uuid::max()),
        ],
    }
}

fn insert_audit(tenant: Option<TenantId>, sql: &'static str, leaves: Vec<Leaf>) -> Deferred {
    let text = |pick: fn(&Leaf) -> String| leaves.iter().map(pick).collect::<Vec<_>>();
    Deferred {
        sql,
        params: vec![
            Box::new(tenant.map(TypedId::uuid)),
            Box::new(leaves.iter().map(|leaf| leaf.id.uuid()).collect::<Vec<Uuid>>()),
            Box::new(text(|leaf| leaf.actor.to_string())),
            Box::new(text(|leaf| leaf.audit.action.to_owned())),
            Box::new(text(|leaf| leaf.audit.resource.to_owned())),
            Box::new(text(|leaf| leaf.audit.resource_id.clone())),
            Box::new(leaves.iter().map(|leaf| leaf.audit.detail.clone()).collect::<Vec<_>>()),
            Box::new(text(|leaf| leaf.request.to_string())),
        ],
    }
}

/// A transaction inside one tenant: it sees and changes that tenant's rows and no others, whatever
/// its statements say. Dropped without [`TenantTx::commit`], it leaves no trace.
#[must_use = "a transaction does nothing until it is committed"]
pub struct TenantTx {
    db: Db,
    session: Session,
    ctx: Ctx,
    pending: Pending,
}

impl TenantTx {
    pub(crate) fn new(db: Db, session: Session, ctx: Ctx) -> Self {
        Self { db, session, ctx, pending: Pending::default() }
    }

    /// On whose behalf.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The tenant as a parameter of statements.
    pub fn tenant(&self) -> Uuid {
        self.ctx.tenant().uuid()
    }

    /// Clock, entropy and ids.
    pub fn ambient(&self) -> &Ambient {
        self.db.ambient()
    }

    /// All rows of a statement.
    pub async fn query(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.session.query(sql, params).await
    }

    /// The first row of a statement, if there is one.
    pub async fn query_opt(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        Ok(self.session.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement; gives the number of rows it changed.
    pub async fn execute(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.session.execute(sql, params).await
    }

    /// Has a statement sent with the next one, after it and in its round trip; only one waits at a
    /// time. If either fails, so does the next one.
    pub fn send_behind(&mut self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) {
        self.session.send_behind(Deferred { sql, params });
    }

    /// How many rows the statement has changed that was sent behind; `None` if it was not sent, and
    /// then it never is.
    pub fn take_behind_count(&mut self) -> Option<u64> {
        self.session.take_behind_count()
    }

    /// Records what this transaction does; written with the commit, in the same round trip.
    pub fn audit(&mut self, audit: Audit) {
        let (actor, request) = (self.ctx.actor(), self.ctx.request().clone());
        self.pending.leaves.push(Leaf { id: self.db.ambient().id(), actor, request, audit });
    }

    /// Puts a job into the queue; written with the commit, in the same round trip. Called by
    /// `misy_jobs`, which knows how to write the envelope.
    pub fn push_job(&mut self, row: JobRow) {
        self.pending.jobs.push((Some(self.ctx.tenant()), row));
    }

    /// Tells the outside what this transaction does; written with the commit, in the same round
    /// trip, and only if somebody wants to know.
    pub fn emit(&mut self, what: &impl Happening) -> EventId {
        let id: EventId = self.db.ambient().id();
        self.pending.events.push(NewEvent::of(id, what, self.db.ambient().now()));
        id
    }

    /// The same for an event that is not of the catalogue. Called by `misy_integration`, which
    /// knows what a tenant may publish.
    pub fn push_event(&mut self, event: NewEvent) {
        self.pending.events.push(event);
    }

    /// Has a statement run with the commit, in its round trip; what it gives is not looked at.
    pub fn defer(&mut self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) {
        self.pending.others.push(Deferred { sql, params });
    }

    /// Makes everything happen, or nothing of it.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { db, session, ctx, pending } = self;
        let (woken, told) = (!pending.jobs.is_empty(), !pending.events.is_empty());
        let deferred = pending.statements(Some(ctx.tenant()), INSERT_AUDIT);
        let counts = idempotency::commit_or_park(session, deferred).await?;
        if woken {
            db.wake().signal();
        }
        if told && counts.last().is_some_and(|parcels| *parcels > 0) {
            db.parcel_wake().signal();
        }
        Ok(())
    }
}

/// A transaction across tenants, on control tables. Its role can read no tenant's content.
#[must_use = "a transaction does nothing until it is committed"]
pub struct PlatformTx {
    db: Db,
    session: Session,
    ctx: PlatformCtx,
    pending: Pending,
}

impl PlatformTx {
    pub(crate) fn new(db: Db, session: Session, ctx: PlatformCtx) -> Self {
        Self { db, session, ctx, pending: Pending::default() }
    }

    /// On whose behalf.
    pub fn ctx(&self) -> &PlatformCtx {
        &self.ctx
    }

    /// Clock, entropy and ids.
    pub fn ambient(&self) -> &Ambient {
        self.db.ambient()
    }

    /// All rows of a statement.
    pub async fn query(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.session.query(sql, params).await
    }

    /// The first row of a statement, if there is one.
    pub async fn query_opt(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        Ok(self.session.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement; gives the number of rows it changed.
    pub async fn execute(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.session.execute(sql, params).await
    }

    /// Records what this transaction does, in the platform's own log.
    pub fn audit(&mut self, audit: Audit) {
        let (actor, request) = (self.ctx.actor(), self.ctx.request().clone());
        self.pending.leaves.push(Leaf { id: self.db.ambient().id(), actor, request, audit });
    }

    /// Puts a job into the queue, of a tenant or of the platform itself.
    pub fn push_job(&mut self, tenant: Option<TenantId>, row: JobRow) {
        self.pending.jobs.push((tenant, row));
    }

    /// Puts a job of a tenant into the queue unless its lane has one already that nobody has
    /// claimed yet: whatever is committed by now, that one will see. What this very transaction
    /// writes it may not see, so a job is announced only after what it is about was committed.
    pub fn announce_job(&mut self, tenant: TenantId, row: JobRow) {
        self.pending.announced.push((tenant, row));
    }

    /// A statement whose answer nobody waits for; it is sent with the commit, in the same round
    /// trip, before everything else that waits for it.
    pub fn defer(&mut self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync + Send>>) {
        self.pending.others.push(Deferred { sql, params });
    }

    /// Makes everything happen, or nothing of it.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { db, session, pending, .. } = self;
        let woken = !(pending.jobs.is_empty() && pending.announced.is_empty());
        let deferred = pending.statements(None, INSERT_PLATFORM_AUDIT);
        idempotency::commit_or_park(session, deferred).await?;
        if woken {
            db.wake().signal();
        }
        Ok(())
    }
}
