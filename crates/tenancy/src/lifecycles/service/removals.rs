//! Room `tenancy`: removing everything of a tenant, in every store.

use std::time::Duration;

use misy_core::{Permission, PlatformCtx, TenantId};
use misy_jobs::PlatformJob;
use misy_jobs::provision::Found;

use super::announce;
use crate::lifecycles::jobs::Purge;
use crate::lifecycles::model::{Holding, Report};
use crate::lifecycles::store;
use crate::provisionings::service::stopped;
use crate::tenants::model::{Error, Event, Status, Tenant};
use crate::tenants::store::Standing;
use crate::{Deps, inventories, signups, tenants};

/// Every process hears within a second that the tenant is barred; whoever was inside comes to an
/// end within this time, or finds nothing to write to.
const QUIET: Duration = Duration::from_secs(2);

/// Closed tenants that one sweep begins to remove.
const SWEEP: i64 = 100;

/// Begins to remove everything of a tenant, without waiting for the end of its grace. `confirm` has
/// to be its slug. A worker goes on with it.
pub async fn purge(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    confirm: &str,
) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let tenant = tenants::service::load(deps, ctx, id).await?;
    if tenant.slug != confirm {
        return Err(Error::NotConfirmed);
    }
    begin(deps, ctx, id, None).await
}

/// The same, and does it at once, for whoever waits for it.
pub async fn purge_now(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    confirm: &str,
) -> Result<Tenant, Error> {
    purge(deps, ctx, id, confirm).await?;
    tokio::time::sleep(QUIET).await;
    finish_removal(deps, ctx, id).await?;
    tenants::service::load(deps, ctx, id).await
}

async fn begin(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    only_if: Option<Status>,
) -> Result<Tenant, Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let before = tenants::store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let next = before.status.after(Event::Purge);
    let next = next.filter(|_| only_if.is_none_or(|wanted| wanted == before.status));
    let next = next.ok_or(Error::NoSuchStep(before.status))?;
    let standing = Standing {
        reason: before.status_reason.clone(),
        before: Some(before.status),
        purge_at: Some(deps.ambient.now()),
        ..Standing::default()
    };
    let saved = tenants::store::set_status(&mut tx, &before, next, &standing).await?;
    let saved = saved.ok_or(Error::Stale)?;
    deps.removal.begin_undo(&mut tx, id, QUIET).await?.ok_or(Error::Underway)?;
    let quiet = jiff::SignedDuration::try_from(QUIET).unwrap_or_default();
    Purge { tenant: id }.enqueue_at(&mut tx, deps.ambient.now() + quiet);
    announce(&mut tx, Event::Purge, &saved, None);
    tx.commit().await?;
    deps.directory.note(id, saved.status).await;
    Ok(saved)
}

/// Begins to remove the closed tenants whose time is over.
pub(crate) async fn sweep(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let due = store::list_due(&mut tx, SWEEP).await?;
    drop(tx);
    for id in due {
        match begin(deps, ctx, id, Some(Status::Closing)).await {
            // Somebody was faster, or has restored it.
            Ok(_) | Err(Error::NoSuchStep(_) | Error::Stale) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes what is left of a tenant that is being removed. It is over only when every store was
/// asked and has nothing.
pub(crate) async fn finish_removal(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<(), Error> {
    let tenant = tenants::service::load(deps, ctx, id).await?;
    if tenant.status != Status::Purging {
        return Ok(());
    }
    let held = deps.removal.take(&deps.db, ctx, id).await?;
    let mut held = held.ok_or(Error::Underway)?;
    let found = inventories::service::find(deps, ctx, id).await?;
    let mut tx = deps.db.platform(ctx).await?;
    store::begin_tombstone(&mut tx, &tenant, &report(&found)).await?;
    tx.commit().await?;
    deps.removal.undo(&deps.db, ctx, &mut held).await.map_err(stopped)?;
    let left = inventories::service::find(deps, ctx, id).await?;
    let mut tx = deps.db.platform(ctx).await?;
    deps.removal.close(&mut tx, &held).await.map_err(stopped)?;
    if left.iter().any(|one| one.count > 0 && !one.is_kept) {
        // Somebody was still inside; what they left is removed like the rest.
        deps.removal.begin_undo(&mut tx, id, Duration::ZERO).await?.ok_or(Error::Underway)?;
        tx.commit().await?;
        return Err(Error::Underway);
    }
    let standing = Standing { reason: tenant.status_reason.clone(), ..Standing::default() };
    let gone = tenants::store::set_status(&mut tx, &tenant, Status::Purged, &standing).await?;
    let gone = gone.ok_or(Error::Stale)?;
    store::end_tombstone(&mut tx, id, &report(&left)).await?;
    signups::store::forget(&mut tx, id).await?;
    announce(&mut tx, Event::Purged, &gone, None);
    tx.commit().await?;
    deps.directory.note(id, Status::Purged).await;
    Ok(())
}

fn report(found: &[Found]) -> Report {
    let some = |kept: bool| {
        let those = found.iter().filter(|one| one.count > 0 && one.is_kept == kept);
        let holding = |one: &Found| Holding {
            store: one.store.to_owned(),
            what: one.what.clone(),
            count: one.count,
        };
        those.map(holding).collect()
    };
    Report { destroyed: some(false), retained: some(true) }
}
