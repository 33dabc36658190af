//! Room `identity`: telling and replacing what is known of a tenant's own applications.

use misy_core::{Ctx, Permission};
use misy_store::Audit;
use misy_web::IfMatch;
use serde_json::json;

use super::model::{Entity, Known};
use super::store;
use crate::policies::Error as PolicyError;
use crate::{Deps, Error, notices};

/// What is known, and its version.
pub(super) async fn get(deps: &Deps, ctx: &Ctx) -> Result<(Vec<Entity>, i64), Error> {
    ctx.require(Permission::PolicyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx).await?)
}

/// Replaces what is known. It holds in every process within a second, as policies do.
pub(super) async fn put(
    deps: &Deps,
    ctx: &Ctx,
    seen: &IfMatch,
    entities: &[Entity],
) -> Result<i64, Error> {
    ctx.require(Permission::PolicyManage)?;
    Known::new(entities).map_err(PolicyError::Invalid)?;
    let mut tx = deps.db.tenant(ctx).await?;
    notices::store::raise_policies(&mut tx).await?;
    seen.check(store::find(&mut tx).await?.1)?;
    let version = store::save(&mut tx, entities, deps.ambient.now()).await?;
    let detail = json!({"entities": entities.len()});
    tx.audit(Audit::new("policy_entities.updated", "tenant", ctx.tenant()).with(detail));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(version)
}
