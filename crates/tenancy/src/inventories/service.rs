//! Room `tenancy`: looking into every store, and mending what is not as it should be.

use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Permission, PlatformCtx, Role, TenantId};
use misy_jobs::PlatformJob;
use misy_jobs::provision::{Found, Promise, StepError};
use misy_store::{Audit, PlatformTx};
use serde_json::{Value, json};
use uuid::Uuid;

use super::jobs::Reconcile;
use super::model::{self, Inventory, Item, Verdict};
use crate::tenants::model::{Error, Tenant};
use crate::tenants::service::Filter;
use crate::{Deps, plans, tenants};

/// Everything that every store holds of a tenant, judged by where the tenant stands.
pub async fn look(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Inventory, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let tenant = tenants::service::load(deps, ctx, id).await?;
    inventory(deps, ctx, &tenant).await
}

async fn inventory(deps: &Deps, ctx: &PlatformCtx, tenant: &Tenant) -> Result<Inventory, Error> {
    let inside = ctx.enter(tenant.id, Role::Owner.grants());
    let promise = promise(deps, ctx, tenant).await?;
    let mut items = Vec::new();
    for part in &deps.parts {
        let found = part.find(&inside).await.map_err(|error| failed(part.name(), error))?;
        let wanted = part.wanted(&promise);
        let missing = wanted.iter().filter(|what| !found.iter().any(|one| one.what == **what));
        let missing: Vec<Found> = missing.map(|what| Found::new("unknown", *what, 0)).collect();
        for one in found.into_iter().chain(missing) {
            let is_wanted = wanted.contains(&one.what.as_str());
            let verdict = model::judge(tenant.status, one.count, is_wanted, one.is_kept);
            let Found { store, what, count, .. } = one;
            items.push(Item { part: part.name(), store, what, count, verdict });
        }
    }
    Ok(Inventory { tenant: tenant.id, status: tenant.status, items })
}

/// What the tenant has been promised by the plan that it has now.
async fn promise(deps: &Deps, ctx: &PlatformCtx, tenant: &Tenant) -> Result<Promise, Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let plan = plans::store::find(&mut tx, &tenant.plan).await?;
    let starter = plan.map_or(Value::Null, |plan| plan.starter.into());
    Ok(Promise { site_id: tenant.site_id.clone(), starter })
}

fn failed(step: &'static str, error: StepError) -> Error {
    let (StepError::Retry(source) | StepError::Impossible { source, .. }) = error;
    Error::Unfinished { step, after: std::time::Duration::from_secs(5), source }
}

/// Everything that every store holds of a tenant, unjudged.
pub(crate) async fn find(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<Vec<Found>, Error> {
    let inside = ctx.enter(id, Role::Owner.grants());
    let mut all = Vec::new();
    for part in &deps.parts {
        all.extend(part.find(&inside).await.map_err(|error| failed(part.name(), error))?);
    }
    Ok(all)
}

/// What became of a tenant that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as it should be.
    Sound,
    /// Something was missing or left over, and is mended.
    Repaired,
    /// Something is missing that only a person can bring back.
    Drifted,
}

/// Looks at a tenant, makes again what is missing and removes what is left over. What was seen may
/// have changed by then, so it is looked at again while nobody can move the tenant along: nothing
/// comes back to a tenant that goes, and of two who mend at once the second finds nothing to do.
pub async fn mend(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Outcome, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let tenant = tenants::service::load(deps, ctx, id).await?;
    if inventory(deps, ctx, &tenant).await?.is_sound() {
        return Ok(Outcome::Sound);
    }
    let mut tx = deps.db.platform(ctx).await?;
    let tenant = tenants::store::hold(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let before = inventory(deps, ctx, &tenant).await?;
    if before.is_sound() {
        return Ok(Outcome::Sound);
    }
    let promise = promise(deps, ctx, &tenant).await?;
    mend_parts(deps, &ctx.enter(id, Role::Owner.grants()), &promise, &before).await?;
    let after = inventory(deps, ctx, &tenant).await?;
    let outcome = if after.is_sound() { Outcome::Repaired } else { Outcome::Drifted };
    record(&mut tx, &before, outcome);
    tx.commit().await?;
    Ok(outcome)
}

async fn mend_parts(
    deps: &Deps,
    inside: &Ctx,
    promise: &Promise,
    before: &Inventory,
) -> Result<(), Error> {
    for part in &deps.parts {
        let of_part = |verdict| {
            before.items.iter().any(|item| item.part == part.name() && item.verdict == verdict)
        };
        let mended = if of_part(Verdict::LeftOver) {
            part.undo(inside, Uuid::nil()).await
        } else if of_part(Verdict::Missing) {
            part.repair(inside, promise).await.map(drop)
        } else {
            Ok(())
        };
        mended.map_err(|error| failed(part.name(), error))?;
    }
    Ok(())
}

fn record(tx: &mut PlatformTx, before: &Inventory, outcome: Outcome) {
    let action = match outcome {
        Outcome::Repaired => "tenant.repaired",
        Outcome::Sound | Outcome::Drifted => "tenant.drifted",
    };
    metrics::counter!("misy_tenant_drift_total", "action" => action).increment(1);
    let bad = before
        .items
        .iter()
        .filter(|item| matches!(item.verdict, Verdict::Missing | Verdict::LeftOver));
    let what: Vec<String> = bad.map(|item| format!("{}/{}", item.part, item.what)).collect();
    tracing::warn!(tenant = %before.tenant, action, ?what, "a tenant was not as it should be");
    let audit = Audit::new(action, "tenant", before.tenant);
    tx.audit(audit.with(json!({ "what": what })));
}

/// Mends some tenants, and has the next ones mended after them.
pub(crate) async fn reconcile(
    deps: &Deps,
    ctx: &PlatformCtx,
    after: Option<TenantId>,
) -> Result<(), Error> {
    let cursor = after.map(|id| Cursor(id.uuid()));
    let limit = Limit::new(Limit::MAX).unwrap_or(Limit::DEFAULT);
    let page = tenants::service::list(deps, ctx, Filter::default(), cursor, limit).await?;
    for tenant in &page.data {
        if let Err(error) = mend(deps, ctx, tenant.id).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(tenant = %tenant.id, error, "a tenant could not be looked at");
        }
    }
    let Some(last) = page.data.last().filter(|_| page.next_cursor.is_some()) else {
        return Ok(());
    };
    let mut tx = deps.db.platform(ctx).await?;
    Reconcile { after: Some(last.id) }.enqueue(&mut tx);
    Ok(tx.commit().await?)
}
