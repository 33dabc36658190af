//! Room `tenancy`: taking over a plan's limits, an operator's exceptions, reading those in force.

use std::collections::BTreeMap;

use misy_core::{Permission, PlatformCtx, Role, TenantId};
use misy_store::{Audit, TenantTx};
use serde_json::{Value, json};

use super::model::{self, Quota};
use super::store;
use crate::Deps;
use crate::tenants::{self, Error};

/// Puts a plan's limits in force.
pub(crate) async fn write_plan(tx: &mut TenantTx, limits: &Value) -> Result<(), misy_store::Error> {
    let (names, counts) = model::of_plan(limits);
    store::adopt(tx, &names, &counts).await
}

/// The limits in force for a tenant, as an operator sees them.
pub async fn list(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Vec<Quota>, Error> {
    let tenant = tenants::service::get(deps, ctx, id).await?;
    let inside = ctx.enter(tenant.id, Role::Viewer.grants());
    Ok(store::list(&mut deps.db.read(&inside).await?).await?)
}

/// Sets an operator's limits in place of those set before; all others are the plan's.
pub async fn set(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    overrides: BTreeMap<String, i64>,
) -> Result<Vec<Quota>, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let limits = tenants::service::plan_limits(deps, ctx, id).await?;
    let (names, counts): (Vec<String>, Vec<i64>) = overrides.into_iter().unzip();
    let mut tx = deps.db.tenant(&ctx.enter(id, Role::Owner.grants())).await?;
    store::override_with(&mut tx, &names, &counts).await?;
    write_plan(&mut tx, &limits).await?;
    let quotas = store::list(&mut tx).await?;
    tx.audit(Audit::new("quotas.updated", "tenant", id).with(json!({"overrides": names})));
    tx.commit().await?;
    Ok(quotas)
}
