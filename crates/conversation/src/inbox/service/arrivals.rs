//! Room `conversation`: payloads are stored together, and whoever takes them in is told.
//!
//! What is told of a batch is written with the next one, or right after it if there is none: only
//! then is the batch visible to a job that is waiting already, and such a job needs no second one.
//! Should the process end in between, [`sweep`] finds what nobody was told of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use misy_core::{ChannelId, Grants, PlatformCtx, TenantId, crypto};
use misy_jobs::Job;
use misy_store::{Db, PlatformTx};
use tracing::Instrument;

use super::lanes::{Lane, Waiting};
use crate::hooks::Error;
use crate::hooks::model::Route;
use crate::inbox::jobs::Ingest;
use crate::inbox::store::{self, NewPayloads};
use crate::{Below, Deps};

/// Payloads that have waited for longer were perhaps left behind.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_secs(10);

/// Accounts that one sweep looks after.
const SWEPT_MAX: i32 = 1_000;

/// Accounts whose inboxes hold something new.
pub(super) type Owed = BTreeMap<ChannelId, TenantId>;

/// Stores a payload; returns when it is on the disk. Those that arrive while an earlier batch is
/// being written share the next commit, whosever they are.
pub(crate) async fn keep(
    deps: &Deps,
    ctx: &PlatformCtx,
    route: Route,
    body: Bytes,
) -> Result<(), Error> {
    let lane = deps.writers.of(route.channel);
    let mut written = lane.push(route, body).ok_or(Error::Full)?;
    let turn = Arc::clone(&lane.writing).lock_owned();
    tokio::select! {
        biased;
        result = &mut written => return stored(result.unwrap_or(false)),
        turn = turn => {
            let (db, ctx) = (deps.db.clone(), ctx.clone());
            let span = tracing::error_span!("hook", request_id = %ctx.request());
            let write = async move {
                lane.gather().await;
                write(&db, &ctx, &lane).await;
                drop(turn);
                if lane.is_empty() {
                    tell(&db, &ctx, &lane).await;
                }
            };
            // The batch holds payloads of other requests: it must be finished even if the caller
            // of this one hangs up.
            #[expect(clippy::disallowed_methods, reason = "outlives the request that began it")]
            tokio::spawn(write.instrument(span));
        }
    }
    stored(written.await.unwrap_or(false))
}

fn stored(written: bool) -> Result<(), Error> {
    if written { Ok(()) } else { Err(Error::NotStored) }
}

async fn write(db: &Db, ctx: &PlatformCtx, lane: &Lane) {
    let batch = lane.take();
    if batch.is_empty() {
        return;
    }
    let owed = lane.take_owed();
    let result = insert(db, ctx, &batch, &owed).await;
    match &result {
        Ok(()) => lane.owe(batch.iter().map(|one| (one.route.channel, one.route.tenant))),
        Err(error) => {
            lane.owe(owed);
            tracing::warn!(error = error as &dyn std::error::Error, "payloads were not stored");
        }
    }
    for waiting in batch {
        // Whoever has hung up is told by the provider's next delivery.
        let _ = waiting.written.send(result.is_ok());
    }
}

async fn insert(
    db: &Db,
    ctx: &PlatformCtx,
    batch: &[Waiting],
    owed: &Owed,
) -> Result<(), misy_store::Error> {
    let new = NewPayloads {
        routes: batch.iter().map(|one| one.route).collect(),
        ids: batch.iter().map(|_| db.ambient().uuid()).collect(),
        digests: batch.iter().map(|one| crypto::sha256(&one.body).to_vec()).collect(),
        bodies: batch.iter().map(|one| one.body.to_vec()).collect(),
    };
    let mut tx = db.gateway(ctx).await?;
    store::keep(&mut tx, new);
    announce(&mut tx, ctx, owed);
    tx.commit().await
}

/// Says what is owed at once, where no further batch is there to carry it.
async fn tell(db: &Db, ctx: &PlatformCtx, lane: &Lane) {
    let _telling = lane.telling.lock().await;
    let owed = lane.take_owed();
    if owed.is_empty() {
        return;
    }
    let told = async {
        let mut tx = db.gateway(ctx).await?;
        announce(&mut tx, ctx, &owed);
        tx.commit().await
    };
    let told: Result<(), misy_store::Error> = told.await;
    if let Err(error) = told {
        tracing::warn!(error = &error as &dyn std::error::Error, "the sweep will tell of payloads");
        lane.owe(owed);
    }
}

fn announce(tx: &mut PlatformTx, ctx: &PlatformCtx, owed: &Owed) {
    for (channel, tenant) in owed {
        Ingest { channel: *channel }.announce(tx, &ctx.enter(*tenant, Grants::NONE));
    }
}

/// Sees to payloads that were stored by a process that then ended before it told anybody.
pub(crate) async fn sweep(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Below> {
    let before = deps.ambient.now() - LEFT_BEHIND;
    let waiting = {
        let mut tx = deps.db.platform_read(ctx).await?;
        store::list_waiting(&mut tx, before, SWEPT_MAX).await?
    };
    if waiting.is_empty() {
        return Ok(());
    }
    let mut tx = deps.db.gateway(ctx).await?;
    announce(&mut tx, ctx, &waiting.into_iter().collect());
    Ok(tx.commit().await?)
}
