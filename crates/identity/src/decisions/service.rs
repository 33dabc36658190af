//! Room `identity`: writing down decisions, a moment after they were made, and reading them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use misy_core::{Ctx, Cursor, Limit, Page, Permission, TenantId, Timestamp};

use super::model::{self, Decision, KEPT_DAYS};
use super::store::{self, Wanted};
use crate::{Deps, Error};

/// Decisions that wait to be written; beyond it the oldest are kept and a warning says so.
const WAITING_MAX: usize = 20_000;

/// Decisions of this process that are not written down yet.
#[derive(Default)]
pub struct Log(Mutex<Vec<(Ctx, Decision)>>);

impl Log {
    /// Keeps a decision for the next [`flush`].
    pub(crate) fn note(&self, ctx: &Ctx, decision: Decision) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push((ctx.clone(), decision));
        } else {
            tracing::warn!("a decision could not be written down: too many wait");
        }
    }

    fn take(&self) -> Vec<(Ctx, Decision)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes down what waits, one transaction a tenant, and forgets what was kept long enough.
pub(crate) async fn flush(deps: &Deps) -> Result<(), Error> {
    let mut of_tenants: HashMap<TenantId, (Ctx, Vec<Decision>)> = HashMap::new();
    for (ctx, decision) in deps.decisions.take() {
        let all = of_tenants.entry(ctx.tenant()).or_insert_with(|| (ctx, Vec::new()));
        all.1.push(decision);
    }
    let kept_s = KEPT_DAYS * 24 * 3_600;
    let now = deps.ambient.now();
    let before = Timestamp::from_second(now.as_second() - kept_s).unwrap_or(now);
    for (ctx, decisions) in of_tenants.into_values() {
        let mut tx = deps.db.tenant(&ctx).await?;
        store::insert(&mut tx, &decisions).await?;
        store::sweep(&mut tx, model::lowest_id(before)).await?;
        tx.commit().await?;
    }
    Ok(())
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
    flush(deps).await?;
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
