//! Room `integration`: looking at dead letters and forgetting them. Replaying is `replays`' work.

use misy_core::{Ctx, Cursor, DeliveryId, EndpointId, Limit, Page, Permission};
use misy_store::Audit;

use super::model::DeadLetter;
use super::store;
use crate::{Below, Deps};

/// A page of dead letters, newest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    endpoint: Option<EndpointId>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, Below> {
    ctx.require(Permission::DeadLetterRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, endpoint, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |letter| letter.id))
}

/// One dead letter; `None` if there is no such.
pub(crate) async fn find(
    deps: &Deps,
    ctx: &Ctx,
    id: DeliveryId,
) -> Result<Option<DeadLetter>, Below> {
    ctx.require(Permission::DeadLetterRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?)
}

/// Forgets one; says whether it was there.
pub(crate) async fn forget(deps: &Deps, ctx: &Ctx, id: DeliveryId) -> Result<bool, Below> {
    ctx.require(Permission::DeadLetterReplay)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if !store::forget(&mut tx, id).await? {
        return Ok(false);
    }
    tx.audit(Audit::new("webhook_dead_letter.forgotten", "webhook_delivery", id));
    tx.commit().await?;
    Ok(true)
}
