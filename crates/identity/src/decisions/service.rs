//! Room `identity`: writing down decisions, a moment after they were made, and reading them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use misy_core::{Code, Ctx, Cursor, Limit, Page, Permission, Public, TenantId, Timestamp};

use super::model::{self, Decision, KEPT_DAYS};
use super::store::{self, Wanted};
use crate::{Deps, Error};

/// Decisions that wait to be written; beyond it the oldest are kept and a warning says so.
const WAITING_MAX: usize = 20_000;

/// Decisions of this process that are not written down yet.
#[derive(Default)]
pub struct Log {
    waiting: Mutex<Waiting>,
    /// Held from taking a tenant's decisions until they are written, so that a reader who comes
    /// in between waits for them.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    of_tenants: HashMap<TenantId, (Ctx, Vec<Decision>)>,
    count: usize,
}

impl Log {
    /// Keeps a decision for the next [`flush`].
    pub(crate) fn note(&self, ctx: &Ctx, decision: Decision) {
        self.keep(ctx, vec![decision]);
    }

    fn keep(&self, ctx: &Ctx, decisions: Vec<Decision>) {
        let mut waiting = self.lock();
        if waiting.count + decisions.len() > WAITING_MAX {
            tracing::warn!("decisions could not be written down: too many wait");
            return;
        }
        waiting.count += decisions.len();
        let of_tenant = waiting.of_tenants.entry(ctx.tenant());
        of_tenant.or_insert_with(|| (ctx.clone(), Vec::new())).1.extend(decisions);
    }

    fn take(&self, tenant: TenantId) -> Option<(Ctx, Vec<Decision>)> {
        let mut waiting = self.lock();
        let taken = waiting.of_tenants.remove(&tenant)?;
        waiting.count -= taken.1.len();
        Some(taken)
    }

    fn tenants(&self) -> Vec<TenantId> {
        self.lock().of_tenants.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what waits, one transaction a tenant; what one tenant's trouble keeps from being
/// written keeps nobody else's.
pub(crate) async fn flush(deps: &Deps) {
    for tenant in deps.decisions.tenants() {
        flush_of(deps, tenant).await;
    }
}

async fn flush_of(deps: &Deps, tenant: TenantId) {
    let log = &deps.decisions;
    let _writing = log.writing.lock().await;
    let Some((ctx, decisions)) = log.take(tenant) else { return };
    let Err(error) = write(deps, &ctx, &decisions).await else { return };
    let again = error.code() == Code::Unavailable;
    tracing::warn!(%tenant, %error, again, "decisions were not written down");
    if again {
        log.keep(&ctx, decisions);
    }
}

/// Adds a tenant's decisions and forgets what was kept long enough.
async fn write(deps: &Deps, ctx: &Ctx, decisions: &[Decision]) -> Result<(), Error> {
    let kept_s = KEPT_DAYS * 24 * 3_600;
    let now = deps.ambient.now();
    let before = Timestamp::from_second(now.as_second() - kept_s).unwrap_or(now);
    let mut tx = deps.db.tenant(ctx).await?;
    store::insert(&mut tx, decisions).await?;
    store::sweep(&mut tx, model::lowest_id(before)).await?;
    Ok(tx.commit().await?)
}

/// One page of decisions, newest first; what this process has just decided is among them.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    wanted: Wanted,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Decision>, Error> {
    ctx.require(Permission::AuditRead)?;
    flush_of(deps, ctx.tenant()).await;
    let mut tx = deps.db.read(ctx).await?;
    let before = cursor.map(|cursor| cursor.0);
    let rows = store::list(&mut tx, &wanted, before, limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |decision| decision.id))
}

/// Which decisions are wanted, as asked for.
pub(super) fn wanted(
    allowed: Option<bool>,
    principal: Option<String>,
    action: Option<String>,
) -> Wanted {
    Wanted { allowed, principal, action }
}
