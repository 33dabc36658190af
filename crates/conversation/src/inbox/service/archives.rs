//! Room `conversation`: payloads that were taken in become documents, and the inbox stays small.

use std::time::Duration;

use jiff::SignedDuration;
use misy_core::id::TypedId;
use misy_core::{ChannelId, Code, Ctx, Public, Timestamp};
use misy_jobs::Job;
use misy_store::TenantTx;
use moka::sync::Cache;
use uuid::Uuid;

use crate::inbox::jobs::Archive;
use crate::inbox::store;
use crate::{Below, Deps};

/// How long after a payload the archiving of its account is due.
const DUE_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// An archiving that is due later than this comes late enough for what is taken in now.
const LATE_ENOUGH: SignedDuration = SignedDuration::from_secs(15);
/// For so long a plan is remembered at most.
const PLANNED: Duration = Duration::from_mins(1);
const KEPT_MAX: u64 = 50_000;
/// Payloads in one run of the job.
const BATCH: usize = 100;

/// Accounts for which this process has planned an archiving lately, and when that is due.
#[derive(Debug, Clone)]
pub struct Archives(Cache<ChannelId, Timestamp>);

impl Default for Archives {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT_MAX).time_to_live(PLANNED).build())
    }
}

impl Archives {
    /// Plans the archiving of an account's payloads with the transaction that takes them in, unless
    /// that is planned already. Should a plan be lost with its transaction, the account's next
    /// payload makes another.
    pub(crate) fn schedule(&self, tx: &mut TenantTx, channel: ChannelId) {
        let now = tx.ambient().now();
        if self.0.get(&channel).is_some_and(|due_at| due_at > now + LATE_ENOUGH) {
            return;
        }
        let due_at = now + DUE_AFTER;
        self.0.insert(channel, due_at);
        Archive { channel }.enqueue_at(tx, due_at);
    }
}

/// Keeps payloads as documents, then empties them in the inbox: whatever interrupts this, each is
/// in one of the two or in both, and the next run writes the same documents again. The run of a
/// full batch is followed by another.
pub(crate) async fn archive(deps: &Deps, ctx: &Ctx, channel: ChannelId) -> Result<(), Below> {
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let done = store::list_done(&mut deps.db.read(ctx).await?, channel, limit).await?;
    let (mut kept, mut unfit) = (Vec::<Uuid>::new(), Vec::new());
    for payload in &done {
        match store::put_payload(&deps.documents, ctx, channel, payload).await {
            Ok(()) => kept.push(payload.id.uuid()),
            Err(error) if error.code() == Code::TooLarge => unfit.push((payload.id, error)),
            Err(error) => return Err(error.into()),
        }
    }
    let mut tx = deps.db.tenant(ctx).await?;
    store::mark_archived(&mut tx, &kept).await?;
    for (id, error) in &unfit {
        store::keep_here(&mut tx, *id, &error.to_string()).await?;
    }
    if done.len() == BATCH {
        Archive { channel }.enqueue(&mut tx);
    }
    metrics::counter!("misy_payloads_archived_total").increment(kept.len() as u64);
    Ok(tx.commit().await?)
}
