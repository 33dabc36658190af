//! Room `tenancy`: what happens when a tenant is made, read, changed or stopped.

use jiff::SignedDuration;
use misy_core::error::Fault;
use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Page, Permission, PlatformCtx, Role, TenantId};
use misy_jobs::PlatformJob;
use misy_jobs::provision::{Owner, ProvisionError, TenantSeed};
use misy_store::{Audit, Db, PlatformTx};
use misy_web::IfMatch;
use serde_json::{Value, json};

use super::jobs::{AdoptPlan, ProvisionTenant};
use super::model::{self, Change, Error, NewOwner, NewTenant, Status, Step, Tenant};
use super::store;
pub use super::store::Filter;
use crate::{Deps, quotas};

/// Makes a tenant and everything it needs. The row, what provisioning needs and a job that finishes
/// the work are committed first; the work is then done at once, so that the caller has a tenant
/// that is ready. If that fails for now or the process dies, the job does it. If it is impossible,
/// the tenant is given up and its slug is free again.
pub async fn create(deps: &Deps, ctx: &PlatformCtx, new: NewTenant) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut faults = model::check_new(&new);
    let mut tx = deps.db.platform(ctx).await?;
    if store::find_plan_limits(&mut tx, &new.plan).await?.is_none() {
        faults.push(unknown_plan());
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let id = deps.ambient.id();
    let site_id = format!("site_{}", misy_core::crypto::to_hex(&deps.ambient.bytes::<12>()));
    let tenant = store::insert(&mut tx, id, &site_id, &new).await.map_err(taken)?;
    let seed = deps.keys.seal_seed(id, &new.owner.to_seed());
    store::insert_seed(&mut tx, id, &seed).await?;
    ProvisionTenant { tenant: id }.enqueue_at(&mut tx, deps.ambient.now() + GRACE);
    tx.audit(Audit::new("tenant.created", "tenant", id));
    tx.commit().await?;
    provision(deps, ctx, tenant, new.owner).await
}

/// The request provisions at once; the job looks after it only when that has surely ended.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

fn unknown_plan() -> Fault {
    Fault { pointer: "/plan".to_owned(), detail: "there is no such plan".to_owned() }
}

fn taken(error: misy_store::Error) -> Error {
    match error.unique_violation() {
        Some("tenants_slug_idx") => Error::SlugTaken,
        _ => Error::Store(error),
    }
}

/// Makes everything a tenant needs; each part may be there already.
async fn provision(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: Tenant,
    owner: NewOwner,
) -> Result<Tenant, Error> {
    let (status, outcome) = match take_steps(deps, ctx, &tenant, owner).await {
        Ok(()) => (Status::Active, Ok(())),
        Err(Error::Impossible { step, faults, source }) => {
            (Status::Failed, Err(Error::Impossible { step, faults, source }))
        }
        Err(error) => return Err(error),
    };
    let reason = outcome.as_ref().err().map(ToString::to_string);
    let mut tx = deps.db.platform(ctx).await?;
    let settled = store::set_status(&mut tx, &tenant, status, reason.as_deref()).await?;
    store::delete_seed(&mut tx, tenant.id).await?;
    if settled.is_some() {
        tx.audit(Audit::new(status.reached(), "tenant", tenant.id));
    }
    commit(deps, tx, tenant.id).await?;
    outcome?;
    match settled {
        Some(active) => Ok(active),
        None => load(deps, ctx, tenant.id).await,
    }
}

async fn take_steps(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: &Tenant,
    owner: NewOwner,
) -> Result<(), Error> {
    let inside = ctx.enter(tenant.id, Role::Owner.grants());
    let limits = plan_limits(deps, ctx, tenant.id).await?;
    let mut tx = deps.db.tenant(&inside).await?;
    deps.keys.ensure_first(&mut tx).await?;
    quotas::service::adopt_plan(&mut tx, &limits).await?;
    tx.commit().await?;
    let seed = TenantSeed {
        id: tenant.id,
        slug: tenant.slug.clone(),
        name: tenant.name.clone(),
        locale: tenant.locale.clone(),
        time_zone: tenant.time_zone.clone(),
        plan: tenant.plan.clone(),
        owner: Owner { email: owner.email, name: owner.name, password: owner.password },
    };
    for step in &deps.steps {
        step.provision(&inside, &seed).await.map_err(|error| stopped(step.name(), error))?;
    }
    Ok(())
}

fn stopped(step: &'static str, error: ProvisionError) -> Error {
    match error {
        ProvisionError::Retry(source) => Error::Unfinished { step, source },
        ProvisionError::Impossible { faults, source } => Error::Impossible { step, faults, source },
    }
}

/// Finishes the provisioning of a tenant, if it is not finished. That it is impossible is an end
/// too.
pub(crate) async fn finish(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<(), Error> {
    let tenant = load(deps, ctx, id).await?;
    if tenant.status != Status::Provisioning {
        return Ok(());
    }
    match resume(deps, ctx, tenant).await {
        Ok(_) | Err(Error::Impossible { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn resume(deps: &Deps, ctx: &PlatformCtx, tenant: Tenant) -> Result<Tenant, Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let Some(sealed) = store::find_seed(&mut tx, tenant.id).await? else {
        // Somebody else has just finished it.
        return load(deps, ctx, tenant.id).await;
    };
    drop(tx);
    let seed = deps.keys.open_seed(tenant.id, &sealed)?;
    let owner = NewOwner::from_seed(&seed)
        .ok_or(Error::Store(misy_store::Error::Corrupt { column: "seed" }))?;
    provision(deps, ctx, tenant, owner).await
}

/// Puts the limits of a tenant's present plan in force.
pub(crate) async fn adopt_plan(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<(), Error> {
    let limits = plan_limits(deps, ctx, id).await?;
    let mut tx = deps.db.tenant(&ctx.enter(id, Role::Owner.grants())).await?;
    quotas::service::adopt_plan(&mut tx, &limits).await?;
    Ok(tx.commit().await?)
}

/// The limits of the plan a tenant has; not found if there is no such tenant.
pub(crate) async fn plan_limits(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<Value, Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let tenant = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    Ok(store::find_plan_limits(&mut tx, &tenant.plan).await?.unwrap_or_default())
}

/// One page of all tenants, oldest first.
pub(crate) async fn list(
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

/// One tenant.
pub async fn get(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    load(deps, ctx, id).await
}

async fn load(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Tenant, Error> {
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
        let known = store::find_plan_limits(&mut tx, &after.plan).await?;
        known.ok_or_else(|| Error::Invalid(vec![unknown_plan()]))?;
        AdoptPlan { tenant: id }.enqueue_at(&mut tx, deps.ambient.now() + GRACE);
    }
    let saved = store::update(&mut tx, &after).await?.ok_or(Error::Stale)?;
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

/// Lets a tenant work, or stops it. One that is still being provisioned is finished first.
pub async fn step(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    step: Step,
    reason: Option<String>,
) -> Result<Tenant, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let next = before.status.after(step).ok_or(Error::NoSuchStep(before.status))?;
    if before.status == Status::Provisioning {
        drop(tx);
        return resume(deps, ctx, before).await;
    }
    let saved = store::set_status(&mut tx, &before, next, reason.as_deref()).await?;
    let saved = saved.ok_or(Error::Stale)?;
    tx.audit(Audit::new(step.action(), "tenant", id));
    commit(deps, tx, id).await?;
    Ok(saved)
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
