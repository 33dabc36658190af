//! Room `integration`: replays, step by step. Each step is one transaction that makes deliveries
//! and notes the place, so a crash costs nothing and repeats nothing.

use misy_core::id::TypedId;
use misy_core::{Ctx, OperationId, Permission};
use misy_jobs::Job;
use misy_store::Audit;
use serde_json::json;

use super::jobs::Replay;
use super::model::{Error, Progress, Scope, Status, Wish};
use super::store::{self, Step};
use crate::endpoints::model::Status as EndpointStatus;
use crate::sources::jobs::Process;
use crate::{Deps, deliveries, endpoints, sources};

/// Dead letters, events or receipts that one step looks at.
const STEP: i64 = 1_000;

/// Has it begun; it goes on by itself. There is no limit to how much it may be.
pub async fn begin(deps: &Deps, ctx: &Ctx, wish: Wish) -> Result<Progress, Error> {
    ctx.require(match wish.scope {
        Scope::Dead => Permission::DeadLetterReplay,
        Scope::Missed | Scope::Received => Permission::WebhookManage,
    })?;
    let mut tx = deps.db.tenant(ctx).await?;
    if let Some(id) = wish.endpoint {
        let found = endpoints::store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
        if found.endpoint.status != EndpointStatus::Enabled {
            return Err(Error::Off);
        }
    }
    if let Some(id) = wish.source {
        sources::store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    }
    if wish.stage.is_some_and(|stage| !stage.is_kept()) {
        return Err(Error::NotKept);
    }
    let id: OperationId = deps.ambient.id();
    let progress = store::insert(&mut tx, id, &wish).await?.ok_or(Error::NotFound)?;
    let audit = Audit::new("webhook.replayed", "operation", id);
    tx.audit(audit.with(json!({ "wish": wish })));
    Replay { operation: id }.enqueue(&mut tx);
    tx.commit().await?;
    Ok(progress)
}

/// How far it has come.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: OperationId) -> Result<Progress, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    store::find(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// Does one step and has the next one follow.
pub(crate) async fn step(deps: &Deps, ctx: &Ctx, id: OperationId) -> Result<(), Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(at) = store::lock(&mut tx, id).await? else { return Ok(()) };
    if at.status != Status::Running {
        return Ok(());
    }
    let step = match at.wish.scope {
        Scope::Missed => store::step_missed(&mut tx, &at, STEP).await?,
        Scope::Dead => {
            let dead = store::list_dead(&mut tx, &at, STEP).await?;
            let made = deliveries::store::repeat(&mut tx, &dead).await?;
            Step {
                looked_at: i64::try_from(dead.len()).unwrap_or(0),
                replayed: i64::try_from(made.len()).unwrap_or(0),
                place: dead.last().map(|id| id.uuid()),
            }
        }
        Scope::Received => {
            let again = store::step_received(&mut tx, &at, STEP).await?;
            for receipt in &again {
                Process { receipt: *receipt }.enqueue(&mut tx);
            }
            let number = i64::try_from(again.len()).unwrap_or(0);
            let place = again.last().map(|id| id.uuid());
            Step { looked_at: number, replayed: number, place }
        }
    };
    let over = step.looked_at < STEP;
    let status = if over { Status::Succeeded } else { Status::Running };
    let step = Step { place: step.place.or(Some(at.place)), ..step };
    store::come_on(&mut tx, id, status, &step).await?;
    if !over {
        Replay { operation: id }.enqueue(&mut tx);
    }
    tx.commit().await?;
    if step.replayed > 0 && at.wish.scope != Scope::Received {
        deps.db.parcel_wake().signal();
    }
    Ok(())
}
