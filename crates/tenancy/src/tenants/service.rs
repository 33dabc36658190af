//! Room `tenancy`: what happens when a tenant is made, read, changed or stopped.

use jiff::SignedDuration;
use misy_core::error::Fault;
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Page, Permission, PlatformCtx, Role, TenantId, Timestamp};
use misy_jobs::PlatformJob;
use misy_jobs::provision::TenantSeed;
use misy_jobs::sagas::Held;
use misy_store::{Audit, Db, PlatformTx};
use misy_web::IfMatch;
use serde_json::{Value, json};

use super::jobs::AdoptPlan;
use super::model::{self, Change, Error, NewTenant, Tenant};
use super::store;
pub use super::store::Filter;
use crate::provisionings::jobs::ProvisionTenant;
use crate::{Deps, lifecycles, plans, provisionings, quotas};

/// Makes a tenant and everything it needs. The row, what provisioning needs and a job that finishes
/// the work are committed first; the work is then done at once, so that the caller has a tenant
/// that is ready. If that fails for now or the process dies, the job does it. If it is impossible,
/// the tenant is given up and its slug is free again.
pub async fn create(deps: &Deps, ctx: &PlatformCtx, new: NewTenant) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let begun = begin(deps, &mut tx, deps.ambient.id(), new).await?;
    tx.commit().await?;
    Box::pin(begun.finish(deps, ctx)).await
}

/// A tenant whose row is written and of which nothing else is there yet.
pub(crate) struct Begun {
    tenant: Tenant,
    seed: TenantSeed,
    held: Held,
}

impl Begun {
    /// Makes all it needs; the transaction that began it is committed.
    pub(crate) async fn finish(self, deps: &Deps, ctx: &PlatformCtx) -> Result<Tenant, Error> {
        provisionings::service::make_now(deps, ctx, self.tenant, self.seed, self.held).await
    }
}

/// Enters a new tenant, what provisioning needs and a job that finishes the work.
pub(crate) async fn begin(
    deps: &Deps,
    tx: &mut PlatformTx,
    id: TenantId,
    new: NewTenant,
) -> Result<Begun, Error> {
    let mut faults = model::check_new(&new);
    let plan = plans::store::find(tx, &new.plan).await?;
    let plan = plan.filter(|plan| plan.retired_at.is_none());
    if plan.is_none() {
        faults.push(unknown_plan());
    }
    let Some(plan) = plan.filter(|_| faults.is_empty()) else {
        return Err(Error::Invalid(faults));
    };
    let site_id = format!("site_{}", misy_core::crypto::to_hex(&deps.ambient.bytes::<12>()));
    let tenant = store::insert(tx, id, &site_id, &new).await.map_err(taken)?;
    plans::store::decide(tx, id, &new.plan, deps.ambient.now(), true).await?;
    let held = provisionings::service::enter(deps, tx, id, &new.owner).await?;
    ProvisionTenant { tenant: id }.enqueue_at(tx, deps.ambient.now() + GRACE);
    tx.audit(Audit::new("tenant.created", "tenant", id));
    let seed = provisionings::service::seed(&tenant, new.owner, plan);
    Ok(Begun { tenant, seed, held })
}

/// The request provisions at once; the job looks after it only when that has surely ended.
pub(crate) const GRACE: SignedDuration = SignedDuration::from_secs(60);

pub(crate) fn unknown_plan() -> Fault {
    Fault { pointer: "/plan".to_owned(), detail: "there is no such plan".to_owned() }
}

fn taken(error: misy_store::Error) -> Error {
    match error.unique_violation() {
        Some("tenants_slug_idx") => Error::SlugTaken,
        _ => Error::Store(error),
    }
}

/// Puts the limits of a tenant's present plan in force.
pub(crate) async fn adopt_plan(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<(), Error> {
    let limits = plan_limits(deps, ctx, id).await?;
    let mut tx = deps.db.tenant(&ctx.enter(id, Role::Owner.grants())).await?;
    quotas::service::change_plan(&mut tx, &limits).await?;
    tx.commit().await?;
    deps.rates.changed().await;
    Ok(())
}

/// The limits of the plan a tenant has; not found if there is no such tenant.
pub(crate) async fn plan_limits(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<Value, Error> {
    plan_limits_at(deps, ctx, id, deps.ambient.now()).await
}

/// The same at another time, as far as it is decided by now.
pub(crate) async fn plan_limits_at(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    at: Timestamp,
) -> Result<Value, Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let plan = plans::store::plan_at(&mut tx, id, at).await?.ok_or(Error::NotFound)?;
    let found = plans::store::find_at(&mut tx, &plan, at).await?;
    Ok(found.map_or(Value::Null, |plan| json!(plan.limits)))
}

/// One page of all tenants, oldest first.
pub async fn list(
    deps: &Deps,
    ctx: &PlatformCtx,
    filter: Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Tenant>, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let rows = store::list(&mut tx, &filter, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |tenant| tenant.id))
}

/// Every tenant there is, for tools that work on each of them.
pub async fn every(db: &Db, ctx: &PlatformCtx) -> Result<Vec<Tenant>, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let (mut all, mut after) = (Vec::new(), None);
    let limit = Limit::new(Limit::MAX).unwrap_or(Limit::DEFAULT);
    loop {
        let mut tx = db.platform_read(ctx).await?;
        let mut rows = store::list(&mut tx, &Filter::default(), after, limit).await?;
        let more = rows.len() > limit.show();
        rows.truncate(limit.show());
        after = rows.last().map(|tenant| Cursor(tenant.id.uuid()));
        all.append(&mut rows);
        if !more {
            return Ok(all);
        }
    }
}

/// The tenant that is named by id, UUID or slug.
pub async fn find_named(db: &Db, ctx: &PlatformCtx, name: &str) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let id = name.parse().ok().or_else(|| name.parse().ok().map(TenantId::from_uuid));
    let mut tx = db.platform_read(ctx).await?;
    let found = match id {
        Some(id) => store::find(&mut tx, id).await?,
        None => store::find_slug(&mut tx, name).await?,
    };
    found.ok_or(Error::NotFound)
}

/// One tenant.
pub async fn get(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    load(deps, ctx, id).await
}

pub(crate) async fn load(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Tenant, Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    store::find(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// Changes a tenant; `expected` is the version the caller has seen.
pub async fn update(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    change: Change,
    expected: &IfMatch,
) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let plan_before = before.plan.clone();
    let fields = change.fields();
    let after = changed(before, change, expected)?;
    let another_plan = after.plan != plan_before;
    if another_plan {
        let now = deps.ambient.now();
        plans::service::find_open(&mut tx, &after.plan).await?;
        plans::store::decide(&mut tx, id, &after.plan, now, true).await?;
        AdoptPlan { tenant: id }.enqueue_at(&mut tx, now + GRACE);
    }
    let saved = store::update(&mut tx, &after).await?.ok_or(Error::Stale)?;
    if another_plan {
        lifecycles::service::tell_plan(&mut tx, &saved, &plan_before);
    }
    tx.audit(Audit::new("tenant.updated", "tenant", id).with(json!({"fields": fields})));
    commit(deps, tx, id).await?;
    if another_plan {
        adopt_plan(deps, ctx, id).await?;
    }
    Ok(saved)
}

fn changed(before: Tenant, change: Change, expected: &IfMatch) -> Result<Tenant, Error> {
    expected.check(before.version).map_err(|_| Error::Stale)?;
    let faults = model::check_change(&change);
    if faults.is_empty() { Ok(change.apply(before)) } else { Err(Error::Invalid(faults)) }
}

async fn commit(deps: &Deps, tx: PlatformTx, id: TenantId) -> Result<(), Error> {
    tx.commit().await?;
    deps.directory.forget(id).await;
    Ok(())
}

/// The tenant as one of its own sees it.
pub async fn get_own(deps: &Deps, ctx: &Ctx) -> Result<Tenant, Error> {
    ctx.require(Permission::TenantRead)?;
    let mut tx = deps.db.read(ctx).await?;
    store::find_own(&mut tx).await?.ok_or(Error::NotFound)
}

/// Changes what is the tenant's own to decide.
pub async fn update_own(
    deps: &Deps,
    ctx: &Ctx,
    change: Change,
    expected: &IfMatch,
) -> Result<Tenant, Error> {
    ctx.require(Permission::TenantUpdate)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::find_own(&mut tx).await?.ok_or(Error::NotFound)?;
    let fields = change.fields();
    let after = changed(before, change, expected)?;
    let saved = store::update_own(&mut tx, &after).await?.ok_or(Error::Stale)?;
    let audit = Audit::new("tenant.updated", "tenant", ctx.tenant());
    tx.audit(audit.with(json!({"fields": fields})));
    tx.commit().await?;
    deps.directory.forget(ctx.tenant()).await;
    Ok(saved)
}
