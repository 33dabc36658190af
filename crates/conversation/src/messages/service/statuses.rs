//! Room `conversation`: what providers report on our messages.

use std::collections::{BTreeSet, HashMap};

use jiff::SignedDuration;
use misy_channel::StatusUpdate;
use misy_channel::event::Status;
use misy_core::event::{EventType, MessageStatusData, Told};
use misy_core::{ChannelId, Ctx, MessageId, Timestamp};
use misy_jobs::Job;
use misy_store::TenantTx;

use crate::Deps;
use crate::messages::MatchStatuses;
use crate::messages::model::{Error, Progress, Report, hear};
use crate::messages::store;

/// How long after an unmatched report its message is looked for again: long after any transaction
/// that may be recording the message's external id at this moment.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// How far back an unmatched report may lie to be looked at again.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(15);

/// How long unmatched reports are kept at all; providers repeat theirs for as long.
const KEEP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Moves our messages forward. A report finds its message by our own id, if the provider carried it
/// along, or by the provider's; one that finds none is kept until the message is known.
pub(crate) async fn apply_statuses(
    tx: &mut TenantTx,
    channel: ChannelId,
    updates: &[(StatusUpdate, Timestamp)],
) -> Result<(), Error> {
    let reports = updates.iter().map(|(update, at)| {
        let ours = update.correlation.as_ref().and_then(|text| text.parse().ok());
        let report = Report {
            external_id: crate::storable_id(&update.external_id),
            status: update.status,
            at: *at,
            failure: update.failure.clone(),
            extra: update.extra.clone(),
        };
        (ours, report)
    });
    apply(tx, channel, reports.collect()).await
}

/// The same for reports of which some are known to be on a message of ours.
pub(super) async fn apply(
    tx: &mut TenantTx,
    channel: ChannelId,
    reports: Vec<(Option<MessageId>, Report)>,
) -> Result<(), Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let external_ids: BTreeSet<&str> =
        reports.iter().map(|(_, report)| report.external_id.as_str()).collect();
    let external_ids: Vec<&str> = external_ids.into_iter().collect();
    let ours: Vec<MessageId> = reports.iter().filter_map(|(ours, _)| *ours).collect();
    let mut known = store::lock_progress(tx, channel, &external_ids, &ours).await?;
    let by_id: HashMap<MessageId, usize> =
        known.iter().enumerate().map(|(at, one)| (one.id, at)).collect();
    let by_external_id: HashMap<String, usize> = known
        .iter()
        .enumerate()
        .filter_map(|(at, one)| Some((one.external_id.clone()?, at)))
        .collect();
    let (mut changed, mut early) = (BTreeSet::new(), Vec::new());
    for (ours, report) in reports {
        let ours = ours.and_then(|id| by_id.get(&id));
        let Some(at) = ours.or_else(|| by_external_id.get(&report.external_id)) else {
            early.push(report);
            continue;
        };
        let before = known[*at].status;
        if hear(&mut known[*at], &report) {
            changed.insert(*at);
            tell(tx, channel, before, &known[*at]);
        }
    }
    let changed: Vec<_> = changed.into_iter().map(|at| known[at].clone()).collect();
    if !changed.is_empty() {
        store::update_progress(tx, &changed).await?;
    }
    keep(tx, channel, &early).await
}

/// Tells the outside how far a message has come, if that is further than before.
fn tell(tx: &mut TenantTx, channel: ChannelId, before: Status, now: &Progress) {
    let kind = match now.status {
        status if status == before => return,
        Status::Sent => EventType::MessageSent,
        Status::Delivered => EventType::MessageDelivered,
        Status::Read => EventType::MessageRead,
        Status::Failed => EventType::MessageFailed,
        Status::Queued => return,
    };
    let data = MessageStatusData {
        message_id: now.id,
        conversation_id: now.conversation,
        channel_id: channel,
        status: now.status.slug(),
        external_id: now.external_id.clone(),
        failure: now.failure.as_ref().and_then(|failure| serde_json::to_value(failure).ok()),
    };
    tx.emit(&Told::new(kind, Some(channel), data));
}

/// The transaction that sends the message may be about to commit: neither sees the other, so the
/// report is looked at again when both are done.
async fn keep(tx: &mut TenantTx, channel: ChannelId, early: &[Report]) -> Result<(), Error> {
    if early.is_empty() {
        return Ok(());
    }
    store::insert_early(tx, channel, early).await?;
    let at = tx.ambient().now() + LOOK_AGAIN;
    MatchStatuses { channel }.enqueue_at(tx, at);
    Ok(())
}

/// Applies reports that were kept because their message was not known, and forgets very old ones.
pub(crate) async fn match_statuses(
    deps: &Deps,
    ctx: &Ctx,
    channel: ChannelId,
) -> Result<(), Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let now = deps.ambient.now();
    let reports = store::take_early(&mut tx, channel, now - LOOK_BACK).await?;
    apply(&mut tx, channel, reports.into_iter().map(|report| (None, report)).collect()).await?;
    store::sweep_early(&mut tx, channel, now - KEEP).await?;
    Ok(tx.commit().await?)
}
