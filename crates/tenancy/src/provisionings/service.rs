//! Room `tenancy`: running the sagas that make and remove tenants.

pub(crate) mod parts;

use std::sync::Arc;
use std::time::Duration;

use misy_core::{Permission, PlatformCtx, TenantId};
use misy_jobs::PlatformJob;
use misy_jobs::provision::{Owner, Provision, Step, TenantSeed};
use misy_jobs::sagas::{self, Halt, Held, Saga};
use misy_store::{Audit, PlatformTx};
use serde_json::{Value, json};

use super::jobs::Attend;
use super::model::{MAKING, Plan as Preview, Provisioning, REMOVAL, StepShown};
use super::store;
use crate::plans::Plan;
use crate::tenants::model::{Error, Event, NewOwner, Status, Tenant};
use crate::tenants::store::Standing;
use crate::{Deps, lifecycles, plans, tenants};

/// A request that makes a tenant waits so long; then the rest goes on without it.
const INLINE: Duration = Duration::from_secs(10);

/// The sagas of all parts, and the parts themselves, which find what is there.
pub(crate) fn sagas(parts: &[Arc<dyn Provision>]) -> (Saga<TenantSeed>, Saga<TenantSeed>) {
    let steps = || -> Vec<Arc<dyn Step<TenantSeed>>> {
        parts.iter().map(|part| Arc::clone(part) as Arc<dyn Step<TenantSeed>>).collect()
    };
    (Saga::new(MAKING, steps()), Saga::new(REMOVAL, steps()))
}

/// Makes everything a new tenant needs, as far as it goes at once. What takes too long goes on in
/// a worker, and the tenant is given as it stands.
pub(crate) async fn make_now(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: Tenant,
    seed: TenantSeed,
    held: Held,
) -> Result<Tenant, Error> {
    let id = tenant.id;
    match tokio::time::timeout(INLINE, make(deps, ctx, tenant, &seed, held)).await {
        Ok(made) => made,
        Err(_) => tenants::service::load(deps, ctx, id).await,
    }
}

async fn make(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: Tenant,
    seed: &TenantSeed,
    mut held: Held,
) -> Result<Tenant, Error> {
    match deps.making.run(&deps.db, ctx, &mut held, seed).await {
        Ok(()) => finish(deps, ctx, &tenant, &held, Event::Provisioned, None).await,
        Err(Halt::Impossible { step, faults, source }) => {
            let refusal = Error::Impossible { step, faults, source };
            give_up(deps, ctx, &tenant, held, Some(refusal.to_string())).await?;
            Err(refusal)
        }
        Err(halt) => Err(stopped(halt)),
    }
}

/// Takes back what was made of a tenant that cannot be made whole.
async fn give_up(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: &Tenant,
    mut held: Held,
    reason: Option<String>,
) -> Result<(), Error> {
    deps.making.undo(&deps.db, ctx, &mut held).await.map_err(stopped)?;
    finish(deps, ctx, tenant, &held, Event::GivenUp, reason).await.map(drop)
}

/// Says that it is over, in one transaction with what follows from that.
async fn finish(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: &Tenant,
    held: &Held,
    event: Event,
    reason: Option<String>,
) -> Result<Tenant, Error> {
    let next = tenant.status.after(event).ok_or(Error::NoSuchStep(tenant.status))?;
    let mut tx = deps.db.platform(ctx).await?;
    deps.making.close(&mut tx, held).await.map_err(stopped)?;
    let standing = Standing { reason, ..Standing::default() };
    let settled = tenants::store::set_status(&mut tx, tenant, next, &standing).await?;
    let settled = settled.ok_or(Error::Underway)?;
    store::delete_seed(&mut tx, tenant.id).await?;
    lifecycles::service::announce(&mut tx, event, &settled, None);
    tx.commit().await?;
    deps.directory.forget(tenant.id).await;
    Ok(settled)
}

pub(crate) fn stopped(halt: Halt) -> Error {
    match halt {
        Halt::Later { step, after, source } => Error::Unfinished { step, after, source },
        Halt::Impossible { step, faults, source } => Error::Impossible { step, faults, source },
        Halt::Parked { step } => Error::Stuck(step),
        Halt::Succeeded => Error::Underway,
        Halt::Store(error) => Error::Store(error),
    }
}

/// Enters what a new tenant needs to be made, in the transaction that makes its row.
pub(crate) async fn enter(
    deps: &Deps,
    tx: &mut PlatformTx,
    id: TenantId,
    owner: &NewOwner,
) -> Result<Held, Error> {
    let sealed = deps.keys.seal_seed(id, &owner.to_seed());
    store::insert_seed(tx, id, &sealed).await?;
    deps.making.begin(tx, id).await?.ok_or(Error::Underway)
}

/// What a saga starts from.
pub(crate) fn seed(tenant: &Tenant, owner: NewOwner, plan: Plan) -> TenantSeed {
    TenantSeed {
        id: tenant.id,
        slug: tenant.slug.clone(),
        site_id: tenant.site_id.clone(),
        name: tenant.name.clone(),
        locale: tenant.locale.clone(),
        time_zone: tenant.time_zone.clone(),
        plan: tenant.plan.clone(),
        limits: json!(plan.limits),
        starter: plan.starter.into(),
        owner: Owner { email: owner.email, name: owner.name, password: owner.password },
    }
}

/// Finishes the making of a tenant, if it is not finished and nobody is at it. That it is
/// impossible is an end too.
pub(crate) async fn resume(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: Tenant,
) -> Result<Tenant, Error> {
    let id = tenant.id;
    let Some(held) = deps.making.take(&deps.db, ctx, id).await? else {
        let now = tenants::service::load(deps, ctx, id).await?;
        return if now.status == Status::Provisioning { Err(Error::Underway) } else { Ok(now) };
    };
    if held.is_undoing() {
        give_up(deps, ctx, &tenant, held, tenant.status_reason.clone()).await?;
        return tenants::service::load(deps, ctx, id).await;
    }
    let mut tx = deps.db.platform_read(ctx).await?;
    let sealed = store::find_seed(&mut tx, id).await?;
    let plan = plans::store::find(&mut tx, &tenant.plan).await?;
    drop(tx);
    let corrupt = || Error::Store(misy_store::Error::Corrupt { column: "seed" });
    let plan = plan.ok_or_else(corrupt)?;
    let opened = deps.keys.open_seed(id, &sealed.ok_or_else(corrupt)?)?;
    let owner = NewOwner::from_seed(&opened).ok_or_else(corrupt)?;
    let seed = seed(&tenant, owner, plan);
    make(deps, ctx, tenant, &seed, held).await
}

/// Does what is left to do for a tenant that is being made.
pub(crate) async fn finish_later(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<(), Error> {
    let tenant = tenants::service::load(deps, ctx, id).await?;
    if tenant.status != Status::Provisioning {
        return Ok(());
    }
    match resume(deps, ctx, tenant).await {
        // A stuck one waits for a person, not for the next try.
        Ok(_) | Err(Error::Impossible { .. } | Error::Stuck(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How far the making and the removal of a tenant are.
pub async fn progress(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
) -> Result<Vec<Provisioning>, Error> {
    tenants::service::get(deps, ctx, id).await?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let mut shown = Vec::new();
    for (kind, name) in [("making", MAKING), ("removal", REMOVAL)] {
        let found = sagas::find(&mut tx, id, name).await?;
        shown.extend(found.map(|progress| show(kind, progress)));
    }
    Ok(shown)
}

fn show(kind: &'static str, progress: sagas::Progress) -> Provisioning {
    let step = |step: sagas::StepProgress| StepShown {
        name: step.name,
        state: step.state,
        attempts: step.attempts,
        error: step.error,
        ended_at: step.ended_at,
    };
    Provisioning {
        kind,
        state: progress.state.slug(),
        steps: progress.steps.into_iter().map(step).collect(),
        began_at: progress.began_at,
        changed_at: progress.changed_at,
    }
}

/// What would be made for a plan.
pub async fn plan(deps: &Deps, ctx: &PlatformCtx, plan: &str) -> Result<Preview, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let found = plans::service::find_open(&mut tx, plan).await?;
    let steps = deps.parts.iter().map(|part| part.name()).collect();
    let channels = found.starter.get("channels").and_then(Value::as_array).into_iter().flatten();
    let channels = channels.filter_map(|one| one["kind"].as_str().map(str::to_owned)).collect();
    Ok(Preview { steps, channels, limits: found.limits.into_iter().collect() })
}

/// Has what was stuck tried again, by an operator who has mended why.
pub async fn retry(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<(), Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let tenant = tenants::service::load(deps, ctx, id).await?;
    let mut tx = deps.db.platform(ctx).await?;
    let making = deps.making.unpark(&mut tx, id).await?;
    let removal = deps.removal.unpark(&mut tx, id).await?;
    if !(making || removal) {
        return Err(Error::NoSuchStep(tenant.status));
    }
    Attend {}.enqueue(&mut tx);
    let detail = json!({ "making": making, "removal": removal });
    tx.audit(Audit::new("tenant.provisioning_retried", "tenant", id).with(detail));
    Ok(tx.commit().await?)
}

/// Goes on with every making and removal that nobody is at: their workers went away, or it was
/// time to try again.
pub(crate) async fn attend(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Error> {
    const AT_ONCE: i64 = 100;
    let mut tx = deps.db.platform_read(ctx).await?;
    let making = sagas::list_open(&mut tx, MAKING, AT_ONCE).await?;
    let removal = sagas::list_open(&mut tx, REMOVAL, AT_ONCE).await?;
    let parked = sagas::count_parked(&mut tx).await?;
    drop(tx);
    metrics::gauge!("misy_sagas_parked").set(f64::from(i32::try_from(parked).unwrap_or(i32::MAX)));
    for id in making {
        report(id, finish_later(deps, ctx, id).await);
    }
    for id in removal {
        report(id, lifecycles::service::finish_removal(deps, ctx, id).await);
    }
    lifecycles::service::sweep(deps, ctx).await
}

/// One that fails does not keep the others from their turn.
fn report(tenant: TenantId, outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%tenant, error, "a tenant is not made or removed yet");
    }
}
