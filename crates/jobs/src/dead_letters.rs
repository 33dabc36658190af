//! Room `jobs`: jobs that gave up. They are kept with the reason until somebody has them run again.

use std::sync::Arc;

use misy_core::ctx::Denied;
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, JobId, Limit, Page, Permission, PlatformCtx, TenantId, Timestamp};
use misy_store::{Audit, Db, Error, PlatformTx, Row, TenantTx};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::run::Mishap;
use crate::store::PLATFORM;
use crate::{Job, JobError, envelope};

const LIST: &str = "
    select id, name, lane, attempts, error, died_at from dead_letters
    where tenant_id = $1 and id < $2 order by id desc limit $3";

const FIND: &str = "
    select id, name, lane, attempts, error, died_at from dead_letters
    where tenant_id = $1 and id = $2";

const REVIVE: &str = "
    with revived as (
        delete from dead_letters
        where owner = $1 and ($2::uuid is null or id = $2) and ($3::text is null or name = $3)
            and ($4::timestamptz is null or died_at >= $4)
        returning id, tenant_id, name, lane, payload, envelope)
    insert into jobs (id, tenant_id, state, name, lane, payload, envelope)
    select id, tenant_id, 'ready', name, lane, payload, envelope from revived";

/// A job that gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// The job's id; it keeps it when it runs again.
    pub id: JobId,
    /// Which job.
    pub name: String,
    /// In which lane.
    pub lane: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it failed the last time. Holds no content.
    pub error: String,
    /// When it gave up.
    pub died_at: Timestamp,
}

/// In which way the last attempt of a dead letter ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It said so itself.
    Failed,
    /// It panicked.
    Panicked,
    /// It took longer than it may.
    TimedOut,
    /// The workers that held it went away.
    Abandoned,
}

impl DeadLetter {
    /// In which way it ended. Of what it said of itself nothing is told.
    pub fn reason(&self) -> Reason {
        Mishap::reason(&self.error)
    }
}

/// Which dead letters are meant; with nothing set, all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only this one.
    pub id: Option<JobId>,
    /// Only jobs of this name.
    pub name: Option<String>,
    /// Only those that gave up at or after this time.
    pub since: Option<Timestamp>,
}

/// The tenant's dead letters, newest job first.
pub async fn list(
    tx: &mut TenantTx,
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, Error> {
    let (tenant, after) = (tx.tenant(), after.map(|cursor| cursor.0));
    let rows = tx.query(LIST, &[&tenant, &after.unwrap_or(Uuid::max()), &limit.fetch()]).await?;
    Ok(Page::cut(rows.iter().map(read).collect(), limit, |letter| letter.id))
}

/// One of the tenant's dead letters.
pub async fn find(tx: &mut TenantTx, id: JobId) -> Result<Option<DeadLetter>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read))
}

/// Has the tenant's dead letters run again, however many they are, soon after the commit.
pub fn replay(tx: &mut TenantTx, filter: Filter) -> Result<JobId, Denied> {
    tx.ctx().require(Permission::DeadLetterReplay)?;
    let named = filter.id.map_or_else(|| "all".to_owned(), |id| id.to_string());
    let detail = serde_json::json!({ "name": filter.name, "since": filter.since });
    tx.audit(Audit::new("dead_letter.replayed", "dead_letter", named).with(detail));
    Ok(Replay(filter).enqueue(tx))
}

/// Has dead letters of a tenant, or of the platform itself, run again at once. Gives their number.
pub async fn revive(
    db: &Db,
    ctx: &PlatformCtx,
    tenant: Option<TenantId>,
    filter: &Filter,
) -> Result<u64, Error> {
    let mut tx = db.platform(ctx).await?;
    let revived = move_back(&mut tx, tenant, filter).await?;
    tx.commit().await?;
    db.wake().signal();
    Ok(revived)
}

async fn move_back(
    tx: &mut PlatformTx,
    tenant: Option<TenantId>,
    filter: &Filter,
) -> Result<u64, Error> {
    let owner: Uuid = tenant.map_or(PLATFORM, TypedId::uuid);
    let id = filter.id.map(TypedId::uuid);
    tx.execute(REVIVE, &[&owner, &id, &filter.name, &filter.since]).await
}

fn read(row: &Row) -> DeadLetter {
    DeadLetter {
        id: JobId::from_uuid(row.get("id")),
        name: row.get("name"),
        lane: row.get("lane"),
        attempts: row.get("attempts"),
        error: row.get("error"),
        died_at: row.get("died_at"),
    }
}

/// The tenant's role may read dead letters but not touch the queue; so it asks for it by a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replay(Filter);

impl Job for Replay {
    const NAME: &'static str = "jobs.dead_letters.replay";
    type Deps = Db;

    async fn run(self, ctx: Ctx, db: Arc<Db>) -> Result<(), JobError> {
        let keeper = envelope::keeper(db.ambient());
        revive(&db, &keeper, Some(ctx.tenant()), &self.0).await?;
        Ok(())
    }
}
