//! Room `identity`: writing down decisions, a moment after they were made, and reading them.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use misy_core::{
    Code, Ctx, Cursor, DecisionId, Limit, Page, Permission, Public, TenantId, Timestamp,
};

use super::model::{self, Decision, KEPT_DAYS};
use super::store::{self, Wanted};
use crate::{Deps, Error};

/// Decisions that wait to be written; beyond it the oldest are kept and a warning says so.
const WAITING_MAX: usize = 20_000;

/// Decisions of this process that are not written down yet.
#[derive(Default)]
pub struct Log(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    of_tenants: HashMap<TenantId, (Ctx, Vec<Decision>)>,
    count: usize,
}

impl Log {
    /// Keeps a decision for the next [`flush`].
    pub(crate) fn note(&self, ctx: &Ctx, decision: Decision) {
        let mut waiting = self.lock();
        if waiting.count >= WAITING_MAX {
            tracing::warn!("a decision could not be written down: too many wait");
            return;
        }
        waiting.count += 1;
        let of_tenant = waiting.of_tenants.entry(ctx.tenant());
        of_tenant.or_insert_with(|| (ctx.clone(), Vec::new())).1.push(decision);
    }

    fn tenants(&self) -> Vec<TenantId> {
        self.lock().of_tenants.keys().copied().collect()
    }

    fn of(&self, tenant: TenantId) -> Option<(Ctx, Vec<Decision>)> {
        self.lock().of_tenants.get(&tenant).cloned()
    }

    fn forget(&self, tenant: TenantId, done: &[Decision]) {
        let done: HashSet<DecisionId> = done.iter().map(|decision| decision.id).collect();
        let mut waiting = self.lock();
        let Some((ctx, mut left)) = waiting.of_tenants.remove(&tenant) else { return };
        waiting.count -= left.len();
        left.retain(|decision| !done.contains(&decision.id));
        waiting.count += left.len();
        if !left.is_empty() {
            waiting.of_tenants.insert(tenant, (ctx, left));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what waits, one transaction a tenant; what one tenant's trouble keeps from being
/// written keeps nobody else's.
pub(crate) async fn flush(deps: &Deps) {
    for tenant in deps.decisions.tenants() {
        flush_of(deps, tenant).await;
    }
}

/// They wait until they are written, so a caller who hangs up takes none along. Two may write the
/// same ones at once: the database makes the second wait for the first, and has them once.
async fn flush_of(deps: &Deps, tenant: TenantId) {
    let Some((ctx, decisions)) = deps.decisions.of(tenant) else { return };
    if let Err(error) = write(deps, &ctx, &decisions).await {
        let again = error.code() == Code::Unavailable;
        tracing::warn!(%tenant, %error, again, "decisions were not written down");
        if again {
            return;
        }
    }
    deps.decisions.forget(tenant, &decisions);
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
