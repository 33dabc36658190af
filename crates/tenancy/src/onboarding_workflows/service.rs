//! Room `tenancy`: writing workflows. Tenants that have begun keep the version they began with.

use misy_core::error::Fault;
use misy_core::{OnboardingWorkflowId, Permission, PlatformCtx};
use misy_store::Audit;
use misy_web::IfMatch;
use serde_json::json;

use super::model::{self, DEFAULT, Error, StepDefinition, Workflow};
use super::store;
use crate::Deps;

/// The newest version of each workflow, by slug.
pub async fn list(deps: &Deps, ctx: &PlatformCtx) -> Result<Vec<Workflow>, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    Ok(store::list(&mut deps.db.platform_read(ctx).await?).await?)
}

/// The newest version of one.
pub async fn get(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: OnboardingWorkflowId,
) -> Result<Workflow, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    store::find(&mut deps.db.platform_read(ctx).await?, id).await?.ok_or(Error::NotFound)
}

fn refused(faults: Vec<Fault>) -> Result<(), Error> {
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Writes a new workflow.
pub async fn create(
    deps: &Deps,
    ctx: &PlatformCtx,
    slug: String,
    title: String,
    steps: Vec<StepDefinition>,
) -> Result<Workflow, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    refused(model::check_steps(&steps))?;
    let (id, created_at) = (deps.ambient.id(), deps.ambient.now());
    let new = Workflow { id, version: 1, slug, title, steps, created_at };
    let mut tx = deps.db.platform(ctx).await?;
    store::insert(&mut tx, &new).await.map_err(|error| taken(error, Error::SlugTaken))?;
    tx.audit(Audit::new("onboarding_workflow.created", "onboarding_workflow", id));
    tx.commit().await?;
    Ok(new)
}

fn taken(error: misy_store::Error, told: Error) -> Error {
    if error.unique_violation().is_some() { told } else { Error::Store(error) }
}

/// Writes another version.
pub async fn replace(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: OnboardingWorkflowId,
    (title, steps): (String, Vec<StepDefinition>),
    seen: &IfMatch,
) -> Result<Workflow, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    refused(model::check_steps(&steps))?;
    let mut tx = deps.db.platform(ctx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(before.version).map_err(|_| Error::Stale)?;
    let (version, created_at) = (before.version + 1, deps.ambient.now());
    let new = Workflow { version, title, steps, created_at, ..before };
    store::insert(&mut tx, &new).await.map_err(|error| taken(error, Error::Stale))?;
    let audit = Audit::new("onboarding_workflow.updated", "onboarding_workflow", id);
    tx.audit(audit.with(json!({"version": version})));
    tx.commit().await?;
    Ok(new)
}

/// Ends a workflow: no other tenant begins it.
pub async fn remove(deps: &Deps, ctx: &PlatformCtx, id: OnboardingWorkflowId) -> Result<(), Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let found = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if found.slug == DEFAULT {
        return Err(Error::Default);
    }
    store::retire(&mut tx, id, deps.ambient.now()).await?;
    tx.audit(Audit::new("onboarding_workflow.removed", "onboarding_workflow", id));
    Ok(tx.commit().await?)
}
