//! Room `tenancy`: making, changing and retiring plans, deciding who has which, and bringing what
//! was decided to the tenants when its time has come.

use misy_core::{Permission, PlatformCtx, TenantId, Timestamp};
use misy_jobs::PlatformJob;
use misy_store::{Audit, PlatformTx};
use misy_web::IfMatch;
use serde_json::json;
use uuid::Uuid;

use super::jobs::{ApplyChange, RollOut};
use super::model::{self, Change, Decision, Error, NewPlan, Plan, Version};
use super::store;
use crate::Deps;
use crate::lifecycles::service::tell_plan;
use crate::tenants::jobs::AdoptPlan;
use crate::tenants::service::{GRACE, unknown_plan};
use crate::tenants::{self, Error as TenantError};

/// Tenants that one job brings a new version to.
const PAGE: i64 = 100;

/// All plans, by id.
pub async fn list(deps: &Deps, ctx: &PlatformCtx) -> Result<Vec<Plan>, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    Ok(store::list(&mut deps.db.platform_read(ctx).await?).await?)
}

/// A plan with all its versions, newest first.
pub async fn get(deps: &Deps, ctx: &PlatformCtx, id: &str) -> Result<(Plan, Vec<Version>), Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let plan = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let versions = store::versions(&mut tx, id).await?;
    Ok((plan, versions))
}

/// Makes a plan that tenants can get.
pub async fn create(deps: &Deps, ctx: &PlatformCtx, new: NewPlan) -> Result<Plan, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let faults = model::check_new(&new);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let mut tx = deps.db.platform(ctx).await?;
    if !store::insert(&mut tx, &new).await? {
        return Err(Error::Taken);
    }
    let plan = store::find(&mut tx, &new.id).await?.ok_or(Error::NotFound)?;
    tx.audit(Audit::new("plan.created", "plan", &new.id).with(json!({"limits": new.limits})));
    tx.commit().await?;
    Ok(plan)
}

/// Changes a plan. Other limits are another version, in force from its time on for all who have the
/// plan.
pub async fn update(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: &str,
    change: Change,
    seen: &IfMatch,
) -> Result<Plan, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let now = deps.ambient.now();
    let mut tx = deps.db.platform(ctx).await?;
    let before = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(before.version).map_err(|_| Error::Stale)?;
    let faults = model::check_change(&change, now);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let from = change.effective_from.unwrap_or(now);
    let mut detail = json!({});
    if let Some(limits) = &change.limits {
        let number = store::insert_version(&mut tx, id, limits, from).await?;
        detail = json!({"version": number, "effective_from": from, "limits": limits});
        let roll_out = RollOut { plan: id.to_owned(), number, after: None };
        roll_out.enqueue_at(&mut tx, from);
    }
    let name = change.name.unwrap_or(before.name);
    let after = Plan { name, starter: change.starter.unwrap_or(before.starter), ..before };
    let plan = save(&mut tx, &after).await?;
    tx.audit(Audit::new("plan.updated", "plan", id).with(detail));
    tx.commit().await?;
    Ok(plan)
}

async fn save(tx: &mut PlatformTx, plan: &Plan) -> Result<Plan, Error> {
    if !store::update(tx, plan).await? {
        return Err(Error::Stale);
    }
    store::find(tx, &plan.id).await?.ok_or(Error::NotFound)
}

/// Ends a plan: those who have it keep it, nobody gets it any more.
pub async fn retire(deps: &Deps, ctx: &PlatformCtx, id: &str) -> Result<Plan, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let before = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if before.retired_at.is_some() {
        return Ok(before);
    }
    let after = Plan { retired_at: Some(deps.ambient.now()), ..before };
    let plan = save(&mut tx, &after).await?;
    tx.audit(Audit::new("plan.retired", "plan", id));
    tx.commit().await?;
    Ok(plan)
}

/// A plan that a tenant can get now.
pub(crate) async fn find_open(tx: &mut PlatformTx, id: &str) -> Result<Plan, TenantError> {
    let plan = store::find(tx, id).await?.filter(|plan| plan.retired_at.is_none());
    plan.ok_or_else(|| TenantError::Invalid(vec![unknown_plan()]))
}

/// What was decided about a tenant's plan, newest first.
pub async fn decisions(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<Vec<Decision>, TenantError> {
    tenants::service::get(deps, ctx, id).await?;
    Ok(store::decisions(&mut deps.db.platform_read(ctx).await?, id).await?)
}

/// Gives a tenant another plan, now or later. What was planned before and has not come is
/// withdrawn.
pub async fn decide(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    plan: &str,
    from: Option<Timestamp>,
) -> Result<Decision, TenantError> {
    ctx.require(Permission::PlatformTenantManage)?;
    let now = deps.ambient.now();
    let mut tx = deps.db.platform(ctx).await?;
    let tenant = tenants::store::lock(&mut tx, id).await?.ok_or(TenantError::NotFound)?;
    if !tenant.status.is_whole() {
        return Err(TenantError::NoSuchStep(tenant.status));
    }
    let at = model::check_time(from, now).map_err(|fault| TenantError::Invalid(vec![fault]))?;
    find_open(&mut tx, plan).await?;
    let is_now = at <= now;
    let (change, decided) = store::decide(&mut tx, id, plan, at, is_now).await?;
    let detail = json!({"plan": plan, "effective_from": at});
    tx.audit(Audit::new("tenant.plan_decided", "tenant", id).with(detail));
    if is_now {
        let after = tenants::model::Tenant { plan: plan.to_owned(), ..tenant.clone() };
        let saved = tenants::store::update(&mut tx, &after).await?.ok_or(TenantError::Stale)?;
        tell_plan(&mut tx, &saved, &tenant.plan);
        AdoptPlan { tenant: id }.enqueue_at(&mut tx, now + GRACE);
    } else {
        ApplyChange { tenant: id, change }.enqueue_at(&mut tx, at);
    }
    tx.commit().await?;
    if is_now {
        deps.directory.forget(id).await;
        tenants::service::adopt_plan(deps, ctx, id).await?;
    }
    Ok(decided)
}

/// Gives a tenant the plan that was decided for now, unless something else was decided since.
pub(crate) async fn apply(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    change: Uuid,
) -> Result<(), TenantError> {
    let mut tx = deps.db.platform(ctx).await?;
    let before = tenants::store::lock(&mut tx, id).await?.ok_or(TenantError::NotFound)?;
    let Some(plan) = store::apply(&mut tx, id, change).await? else { return Ok(()) };
    let saved = tenants::model::Tenant { plan, ..before.clone() };
    tell_plan(&mut tx, &saved, &before.plan);
    if saved.status.is_whole() {
        AdoptPlan { tenant: id }.enqueue(&mut tx);
    }
    tx.commit().await?;
    deps.directory.forget(id).await;
    Ok(())
}

/// Brings a version of a plan to the next of its tenants; the last page says that all have it.
pub(crate) async fn roll_out(
    deps: &Deps,
    ctx: &PlatformCtx,
    plan: &str,
    number: i32,
    after: Option<TenantId>,
) -> Result<(), TenantError> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let tenants = store::tenants_of(&mut tx, plan, after, PAGE).await?;
    drop(tx);
    for id in &tenants {
        tenants::service::adopt_plan(deps, ctx, *id).await?;
    }
    let mut tx = deps.db.platform(ctx).await?;
    match tenants.last() {
        Some(last) => {
            let next = RollOut { plan: plan.to_owned(), number, after: Some(*last) };
            next.enqueue(&mut tx);
        }
        None => store::end_version(&mut tx, plan, number).await?,
    }
    Ok(tx.commit().await?)
}
