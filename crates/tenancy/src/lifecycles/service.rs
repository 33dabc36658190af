//! Room `tenancy`: what operators decide about a tenant, and what the clock decides.

mod removals;

use jiff::SignedDuration;
use misy_core::event::{EventType, TenantData, Told};
use misy_core::{Permission, PlatformCtx, Role, TenantId};
use misy_jobs::PlatformJob;
use misy_store::{Audit, PlatformTx};
use serde_json::{Value, json};

use super::jobs::Tell;
use super::model::Lifecycle;
use super::store;
use crate::tenants::model::{Error, Event, Reason, Status, Tenant};
use crate::tenants::store::Standing;
use crate::{Deps, provisionings, tenants};

pub(crate) use removals::{finish_removal, sweep};
pub use removals::{purge, purge_now};

/// Records an event in the life of a tenant, now as `now`. What its webhooks are told is put on its
/// way in the same transaction.
pub(crate) fn announce(tx: &mut PlatformTx, event: Event, now: &Tenant, detail: Option<Value>) {
    tx.audit(Audit::new(event.action(), "tenant", now.id).with(detail.unwrap_or_default()));
    if let Some(what) = EventType::parse(event.action()) {
        tell(tx, what, now, None);
    }
}

/// Records that a tenant has another plan now.
pub(crate) fn tell_plan(tx: &mut PlatformTx, now: &Tenant, before: &str) {
    let what = EventType::TenantPlanChanged;
    let detail = json!({ "plan": now.plan, "plan_before": before });
    tx.audit(Audit::new(what.slug(), "tenant", now.id).with(detail));
    tell(tx, what, now, Some(before.to_owned()));
}

/// Endpoints are the tenant's own, which this transaction cannot see; the job that follows it can.
fn tell(tx: &mut PlatformTx, what: EventType, now: &Tenant, plan_before: Option<String>) {
    let job = Tell {
        tenant: now.id,
        what: what.slug().to_owned(),
        status: now.status,
        reason: now.status_reason.clone(),
        plan: now.plan.clone(),
        plan_before,
        at: tx.ambient().now(),
    };
    job.enqueue(tx);
}

/// Tells those of a tenant's webhooks that want it what became of the tenant.
pub(crate) async fn deliver(deps: &Deps, ctx: &PlatformCtx, news: Tell) -> Result<(), Error> {
    let Some(what) = EventType::parse(&news.what) else { return Ok(()) };
    if tenants::service::load(deps, ctx, news.tenant).await?.status.is_gone() {
        return Ok(());
    }
    let mut tx = deps.db.tenant(&ctx.enter(news.tenant, Role::Viewer.grants())).await?;
    let Tell { tenant: tenant_id, status, reason, plan, plan_before, at, .. } = news;
    let status = status.slug();
    let data = TenantData { tenant_id, status, reason, plan, plan_before, at };
    tx.emit(&Told::new(what, None, data));
    Ok(tx.commit().await?)
}

/// Moves a tenant along the table, and lets every process of this machine know at once.
async fn take(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    event: impl Fn(&Tenant) -> Event,
    standing: impl Fn(&Tenant) -> Standing,
) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let before = tenants::store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let event = event(&before);
    let next = before.status.after(event).ok_or(Error::NoSuchStep(before.status))?;
    let new = standing(&before);
    let saved = tenants::store::set_status(&mut tx, &before, next, &new).await?;
    let saved = saved.ok_or(Error::Stale)?;
    announce(&mut tx, event, &saved, Some(json!({ "from": before.status, "reason": new.reason })));
    tx.commit().await?;
    deps.directory.note(id, saved.status).await;
    Ok(saved)
}

/// Lets a tenant work. One that is still being made is finished first.
pub async fn activate(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let before = tenants::service::load(deps, ctx, id).await?;
    if before.status == Status::Provisioning {
        return provisionings::service::resume(deps, ctx, before).await;
    }
    take(deps, ctx, id, |_| Event::Activate, |_| Standing::default()).await
}

/// Stops a tenant: its people and programs are refused, its jobs wait, what its customers send is
/// kept.
pub async fn suspend(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    reason: Reason,
    note: Option<&str>,
) -> Result<Tenant, Error> {
    let standing = |_: &Tenant| Standing {
        reason: Some(reason.slug().to_owned()),
        note: note.map(str::to_owned),
        ..Standing::default()
    };
    take(deps, ctx, id, |_| Event::Suspend, standing).await
}

/// Ends a tenant; for so many days it can be restored.
pub async fn close(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    grace_days: u16,
    note: Option<&str>,
) -> Result<Tenant, Error> {
    let purge_at = deps.ambient.now() + SignedDuration::from_hours(24 * i64::from(grace_days));
    let standing = |before: &Tenant| Standing {
        reason: before.status_reason.clone(),
        note: note.map(str::to_owned),
        before: Some(before.status),
        purge_at: Some(purge_at),
    };
    take(deps, ctx, id, |_| Event::Close, standing).await
}

/// Takes back that a tenant was closed: it stands again where it stood.
pub async fn restore(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Tenant, Error> {
    let event = |before: &Tenant| match before.status_before {
        Some(Status::Suspended) => Event::RestoreSuspended,
        _ => Event::Restore,
    };
    let standing = |before: &Tenant| Standing {
        reason: before.status_reason.clone().filter(|_| event(before) == Event::RestoreSuspended),
        ..Standing::default()
    };
    take(deps, ctx, id, event, standing).await
}

/// Where a tenant stands and how it came there.
pub async fn show(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Lifecycle, Error> {
    let tenant = tenants::service::get(deps, ctx, id).await?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let history = store::history(&mut tx, id).await?;
    let tombstone = store::find_tombstone(&mut tx, id).await?;
    Ok(Lifecycle { tenant, history, tombstone })
}
