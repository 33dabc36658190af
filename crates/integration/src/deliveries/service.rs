//! Room `integration`: bringing events to endpoints, and what is asked of it.

mod postman;
mod sending;
mod settling;

use misy_core::{Ctx, Cursor, DeliveryId, Limit, Page, Permission};
use misy_store::Audit;

use super::model::{Attempt, Delivery, Filter};
use super::store;
use crate::{Below, Deps};

pub use postman::Postman;
pub(crate) use sending::{Sent, send_now};

/// A page of deliveries, newest first.
pub(crate) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Delivery>, Below> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(Page::cut(store::list(&mut tx, filter, cursor, limit).await?, limit, |one| one.id))
}

/// One delivery with all its tries; `None` if there is no such.
pub(crate) async fn find(
    deps: &Deps,
    ctx: &Ctx,
    id: DeliveryId,
) -> Result<Option<(Delivery, Vec<Attempt>)>, Below> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let Some(delivery) = store::find(&mut tx, id).await? else { return Ok(None) };
    Ok(Some((delivery, store::list_attempts(&mut tx, id).await?)))
}

/// What came of the wish to repeat a delivery.
pub(crate) enum Repeated {
    /// It is under way anew.
    Anew(Delivery),
    /// There is no such delivery.
    Absent,
    /// Its endpoint is off or gone, or its event was dropped with its day.
    Impossible,
}

/// Delivers once more, as a delivery of its own with the same `webhook-id`.
pub(crate) async fn retry(deps: &Deps, ctx: &Ctx, id: DeliveryId) -> Result<Repeated, Below> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if store::find(&mut tx, id).await?.is_none() {
        return Ok(Repeated::Absent);
    }
    let made = store::repeat(&mut tx, &[id]).await?;
    let Some(made) = made.first().copied() else { return Ok(Repeated::Impossible) };
    let Some(delivery) = store::find(&mut tx, made).await? else {
        return Ok(Repeated::Impossible);
    };
    tx.audit(Audit::new("webhook_delivery.retried", "webhook_delivery", id));
    tx.commit().await?;
    deps.db.parcel_wake().signal();
    Ok(Repeated::Anew(delivery))
}
