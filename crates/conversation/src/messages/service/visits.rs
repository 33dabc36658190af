//! Room `conversation`: messages as the page of a visitor has them: fetched, then seen.

use misy_channel::StatusUpdate;
use misy_channel::event::Status;
use misy_core::id::TypedId;
use misy_core::{ChannelId, Ctx, Cursor, Limit, MessageId, Timestamp};
use misy_store::TenantTx;
use serde_json::Map;

use super::statuses::apply_statuses;
use crate::Deps;
use crate::messages::model::{Direction, Error, Message};
use crate::messages::store;

/// Messages that are noted as seen at once; a page says so again and again.
const SEEN_MAX: i64 = 200;

/// What was said over an account with whoever holds an identity, oldest first: since a message and
/// what was never fetched, or else the latest.
pub(crate) async fn list_of_identity(
    tx: &mut TenantTx,
    whose: (&str, &str),
    channel: ChannelId,
    since: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Message>, Error> {
    let count = i64::try_from(limit.show()).unwrap_or(i64::MAX);
    let mut all = match since {
        Some(since) => store::list_since(tx, whose, channel, since, count).await?,
        None => store::list_latest(tx, whose, channel, count).await?,
    };
    all.sort_unstable_by_key(|message| message.id.uuid());
    Ok(all)
}

/// Notes that a page has got those of these messages that are ours.
pub(crate) async fn note_fetched(
    deps: &Deps,
    ctx: &Ctx,
    channel: ChannelId,
    messages: &[Message],
) -> Result<(), Error> {
    let fetched = messages
        .iter()
        .filter(|one| one.direction == Direction::Outbound && one.status == Status::Sent);
    let now = deps.ambient.now();
    let updates: Vec<_> = fetched.map(|one| update(one.id, Status::Delivered, now)).collect();
    if updates.is_empty() {
        return Ok(());
    }
    let mut tx = deps.db.tenant(ctx).await?;
    apply_statuses(&mut tx, channel, &updates).await?;
    Ok(tx.commit().await?)
}

/// Notes that everything up to a message was seen by whoever holds an identity; `false` if the
/// message is not theirs.
pub(crate) async fn note_seen(
    deps: &Deps,
    ctx: &Ctx,
    whose: (&str, &str),
    channel: ChannelId,
    up_to: MessageId,
) -> Result<bool, Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(unseen) = store::list_unseen(&mut tx, whose, channel, up_to, SEEN_MAX).await? else {
        return Ok(false);
    };
    let now = deps.ambient.now();
    let updates: Vec<_> = unseen.into_iter().map(|id| update(id, Status::Read, now)).collect();
    if !updates.is_empty() {
        apply_statuses(&mut tx, channel, &updates).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// A page says it as a provider would; our id is the provider's as well.
fn update(id: MessageId, status: Status, at: Timestamp) -> (StatusUpdate, Timestamp) {
    let update = StatusUpdate {
        external_id: id.to_string(),
        correlation: Some(id.to_string()),
        status,
        recipient: Vec::new(),
        failure: None,
        extra: Map::new(),
    };
    (update, at)
}
