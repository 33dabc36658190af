//! Room `tenancy`: a tenant walks through its onboarding. What other rooms know is asked before a
//! transaction begins, each in one round trip.

use async_trait::async_trait;
use misy_core::event::{EventType, OnboardingData, Told};
use misy_core::{Ctx, Permission, PlatformCtx, Role, TenantId, Timestamp};
use misy_store::{Audit, TenantTx};
use serde_json::{Value, json};

use super::model::{Error, Onboarding, Standing, State, check_hours};
use super::store;
use crate::onboarding_workflows::model::{Check, StepDefinition, fits, judge};
use crate::tenants::model::check_business;
use crate::{Deps, onboarding_workflows};

/// What other rooms know of a tenant.
#[async_trait]
pub trait Facts: Send + Sync {
    /// How many there are of what is checked: people beside the first, channel accounts that work,
    /// knowledge entries, conversations since then with a customer's message and an answer.
    async fn count(
        &self,
        ctx: &Ctx,
        check: Check,
        since: Timestamp,
    ) -> Result<i64, misy_store::Error>;
}

/// Where the tenant stands. The first look begins the workflow that its plan names.
pub async fn show(deps: &Deps, ctx: &Ctx) -> Result<Onboarding, Error> {
    ctx.require(Permission::TenantRead)?;
    if let Some(found) = store::find(&mut deps.db.read(ctx).await?).await? {
        return Ok(found);
    }
    let mut tx = deps.db.platform_read(&deps.system).await?;
    let workflow = onboarding_workflows::store::find_for(&mut tx, ctx.tenant()).await?;
    drop(tx);
    let workflow = workflow.ok_or(Error::NoWorkflow)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if store::insert(&mut tx, &workflow).await? {
        let detail = json!({"workflow": workflow.id, "version": workflow.version});
        tx.audit(Audit::new("onboarding.began", "onboarding", workflow.id).with(detail));
    }
    tx.commit().await?;
    store::find(&mut deps.db.read(ctx).await?).await?.ok_or(Error::NoWorkflow)
}

/// The same for an operator.
pub async fn show_of(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: TenantId,
) -> Result<Onboarding, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    show(deps, &ctx.enter(tenant, Role::Viewer.grants())).await
}

/// Sends what a step asks for. It is kept, put where it belongs, and the step is done if what it
/// checks is so by now.
pub async fn fill_in(deps: &Deps, ctx: &Ctx, key: &str, data: Value) -> Result<Onboarding, Error> {
    ctx.require(Permission::TenantUpdate)?;
    let before = show(deps, ctx).await?;
    let step = before.ready(key)?;
    let faults = faults(step, &data)?;
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let counted = count(deps, ctx, step, before.began_at).await?;
    let mut tx = deps.db.tenant(ctx).await?;
    let mut now = lock(&mut tx).await?;
    let step = now.ready(key)?.clone();
    match step.check {
        Check::BusinessProfile => add_business(&mut tx, &data).await?,
        Check::OpeningHours => store::set_hours(&mut tx, &data).await?,
        _ => {}
    }
    let is_so = counted.is_none_or(|found| found >= i64::from(step.min_count));
    let state = if is_so { State::Done } else { State::Open };
    let settled_at = is_so.then(|| deps.ambient.now());
    let standing = Standing { state, data: Some(data), reason: None, settled_at };
    if is_so {
        settle(deps, &mut tx, &mut now, &step.key, standing).await?;
    } else {
        now.standings.insert(step.key.clone(), standing);
        store::save_steps(&mut tx, &now, std::slice::from_ref(&step.key)).await?;
        store::touch(&mut tx, now.completed_at).await?;
    }
    finish(deps, ctx, tx).await
}

/// What the tenant says of itself grows by what was sent, within its limit.
async fn add_business(tx: &mut TenantTx, data: &Value) -> Result<(), Error> {
    let Value::Object(mut all) = store::find_settings(tx).await?.0 else { return Ok(()) };
    all.extend(data.as_object().into_iter().flatten().map(|(key, one)| (key.clone(), one.clone())));
    if let Err(detail) = check_business(&all) {
        let (pointer, detail) = ("/data".to_owned(), detail.to_owned());
        return Err(Error::Invalid(vec![misy_core::error::Fault { pointer, detail }]));
    }
    Ok(store::set_business(tx, &Value::Object(all)).await?)
}

/// Every fault of what was sent for a step.
fn faults(step: &StepDefinition, data: &Value) -> Result<Vec<misy_core::error::Fault>, Error> {
    let mut faults = match (step.check, &step.schema) {
        (Check::OpeningHours, _) => check_hours(data),
        (_, None) => return Err(Error::NoForm),
        _ => Vec::new(),
    };
    faults.extend(step.schema.iter().flat_map(|schema| judge(schema, data, "/data")));
    let fault = |detail: &str| misy_core::error::Fault {
        pointer: "/data".to_owned(),
        detail: detail.to_owned(),
    };
    match data.as_object() {
        Some(object) => faults.extend(check_business(object).err().map(fault)),
        None => faults.push(fault("expected an object")),
    }
    Ok(faults)
}

/// How many there are of what another room knows; `None` if no other room is asked.
async fn count(
    deps: &Deps,
    ctx: &Ctx,
    step: &StepDefinition,
    since: Timestamp,
) -> Result<Option<i64>, Error> {
    Ok(match step.check {
        Check::Team | Check::Channel | Check::Knowledge | Check::TestConversation => {
            Some(deps.facts.count(ctx, step.check, since).await?)
        }
        Check::Form | Check::BusinessProfile | Check::OpeningHours | Check::GoLive => None,
    })
}

/// Looks whether what a step checks is so; then it is done.
pub async fn check(deps: &Deps, ctx: &Ctx, key: &str) -> Result<Onboarding, Error> {
    ctx.require(Permission::TenantUpdate)?;
    let before = show(deps, ctx).await?;
    let counted = count(deps, ctx, before.ready(key)?, before.began_at).await?;
    let mut tx = deps.db.tenant(ctx).await?;
    let mut now = lock(&mut tx).await?;
    let step = now.ready(key)?.clone();
    let wanted = i64::from(step.min_count);
    let (found, wanted) = match counted {
        Some(found) => (found, wanted),
        None => (i64::from(is_so(&mut tx, &step, &now).await?), 1),
    };
    if found < wanted {
        return Err(Error::NotYet { found, wanted });
    }
    if step.check == Check::GoLive {
        store::set_live(&mut tx).await?;
        tx.audit(Audit::new("tenant.live", "tenant", ctx.tenant()));
    }
    let data = now.standing(key).data.clone();
    let at = Some(deps.ambient.now());
    let standing = Standing { state: State::Done, data, reason: None, settled_at: at };
    settle(deps, &mut tx, &mut now, key, standing).await?;
    finish(deps, ctx, tx).await
}

/// Whether that is so which this room knows by itself.
async fn is_so(tx: &mut TenantTx, step: &StepDefinition, now: &Onboarding) -> Result<bool, Error> {
    let schema = step.schema.clone().unwrap_or_default();
    Ok(match step.check {
        Check::BusinessProfile => fits(&schema, &store::find_settings(tx).await?.0),
        Check::OpeningHours => {
            let hours = store::find_settings(tx).await?.1;
            hours.is_some_and(|hours| check_hours(&hours).is_empty())
        }
        Check::GoLive => true,
        _ => now.standing(&step.key).data.as_ref().is_some_and(|data| fits(&schema, data)),
    })
}

/// Leaves a step out.
pub async fn skip(
    deps: &Deps,
    ctx: &Ctx,
    key: &str,
    reason: Option<String>,
) -> Result<Onboarding, Error> {
    ctx.require(Permission::TenantUpdate)?;
    show(deps, ctx).await?;
    let mut tx = deps.db.tenant(ctx).await?;
    let mut now = lock(&mut tx).await?;
    now.skippable(key)?;
    let data = now.standing(key).data.clone();
    let at = Some(deps.ambient.now());
    let standing = Standing { state: State::Skipped, data, reason, settled_at: at };
    settle(deps, &mut tx, &mut now, key, standing).await?;
    finish(deps, ctx, tx).await
}

/// Opens a step again, with all that need it.
pub async fn reopen(deps: &Deps, ctx: &Ctx, key: &str) -> Result<Onboarding, Error> {
    ctx.require(Permission::TenantUpdate)?;
    show(deps, ctx).await?;
    let mut tx = deps.db.tenant(ctx).await?;
    let mut now = lock(&mut tx).await?;
    now.step(key)?;
    if now.standing(key).state == State::Open {
        return Err(Error::Open);
    }
    let opened = now.reopen(key);
    store::save_steps(&mut tx, &now, &opened).await?;
    store::touch(&mut tx, now.completed_at).await?;
    let audit = Audit::new("onboarding.step_reopened", "onboarding", now.workflow);
    tx.audit(audit.with(json!({"steps": opened})));
    finish(deps, ctx, tx).await
}

async fn lock(tx: &mut TenantTx) -> Result<Onboarding, Error> {
    store::lock(tx).await?.ok_or(Error::NoWorkflow)
}

/// Settles a step and what follows, and tells of it in the same transaction.
async fn settle(
    deps: &Deps,
    tx: &mut TenantTx,
    now: &mut Onboarding,
    key: &str,
    standing: Standing,
) -> Result<(), Error> {
    let was_complete = now.completed_at.is_some();
    let settled = now.settle(key, standing, deps.ambient.now());
    store::save_steps(tx, now, &settled).await?;
    for one in &settled {
        let state = now.standing(one).state;
        tell(tx, EventType::OnboardingStepCompleted, now, Some((one, state)));
        let audit = Audit::new("onboarding.step_completed", "onboarding", now.workflow);
        tx.audit(audit.with(json!({"step": one, "state": state.slug()})));
    }
    store::touch(tx, now.completed_at).await?;
    if !was_complete && now.completed_at.is_some() {
        tell(tx, EventType::OnboardingCompleted, now, None);
        tx.audit(Audit::new("onboarding.completed", "onboarding", now.workflow));
    }
    Ok(())
}

fn tell(tx: &mut TenantTx, kind: EventType, now: &Onboarding, step: Option<(&str, State)>) {
    let data = OnboardingData {
        workflow_id: now.workflow,
        workflow_version: now.workflow_version,
        step: step.map(|(key, _)| key.to_owned()),
        state: step.map(|(_, state)| state.slug()),
        settled: now.settled(),
        steps: now.steps.len(),
    };
    tx.emit(&Told::new(kind, None, data));
}

async fn finish(deps: &Deps, ctx: &Ctx, tx: TenantTx) -> Result<Onboarding, Error> {
    tx.commit().await?;
    store::find(&mut deps.db.read(ctx).await?).await?.ok_or(Error::NoWorkflow)
}
