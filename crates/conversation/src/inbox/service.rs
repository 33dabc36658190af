//! Room `conversation`: storing what was delivered, and making of it what happened.

mod archives;
mod arrivals;
mod lanes;

use misy_channel::{Channel, InboundMessage};
use misy_core::{ChannelId, ContactId, Ctx, InboxId, Timestamp};
use misy_jobs::Job;
use misy_store::{Limited, TenantTx};

use super::jobs::{Ingest, Revisit};
use super::model::{self, Edit, Kept, Pending, Placed, Revoke, Sorted};
use super::store;
use crate::conversations::model::Opened;
use crate::messages::model::{NewEcho, NewInbound};
use crate::responders::jobs::Respond;
use crate::{Deps, channels, contacts, conversations, messages};

pub use self::archives::Archives;
pub(crate) use self::archives::archive;
pub(crate) use self::arrivals::{keep, sweep};
pub use self::lanes::Writers;

/// Makes of stored payloads what happened: one transaction a batch. The job of a full batch is
/// followed by another, so one job is never long.
pub(crate) async fn ingest(deps: &Deps, ctx: &Ctx, id: ChannelId) -> Result<(), messages::Error> {
    let limit = deps.config.ingest_batch;
    let mut tx = deps.db.tenant(ctx).await?;
    let pending = store::list_pending(&mut tx, id, limit).await?;
    if pending.is_empty() {
        return Ok(());
    }
    // What came while the account was connected is taken in even if it is disconnected by now.
    let Some(kind) = channels::service::find_kind(deps, &mut tx, id).await? else {
        return Ok(());
    };
    let Some(channel) = deps.channels.find(&kind) else { return Ok(()) };
    let whole = take_in(deps, &mut tx, channel.as_ref(), id, &pending).await;
    let outcome = match whole {
        Ok(()) => {
            if pending.len() == usize::from(limit) {
                Ingest { channel: id }.enqueue(&mut tx);
            }
            deps.archives.schedule(&mut tx, id);
            tx.commit().await.map_err(messages::Error::from)
        }
        Err(error) => {
            drop(tx);
            Err(error)
        }
    };
    match outcome {
        Err(error) if is_poison(&error) => {
            one_by_one(deps, ctx, channel.as_ref(), id, pending).await
        }
        outcome => outcome,
    }
}

/// Whether it is the data that fails, not the database.
fn is_poison(error: &messages::Error) -> bool {
    use misy_core::Public;
    error.code() != misy_core::Code::Unavailable
}

/// Each payload on its own, so that one that cannot be taken in holds up no other: it is tried
/// again later, and at last set aside.
async fn one_by_one(
    deps: &Deps,
    ctx: &Ctx,
    channel: &dyn Channel,
    id: ChannelId,
    pending: Vec<Pending>,
) -> Result<(), messages::Error> {
    for payload in pending {
        let (payload_id, attempts) = (payload.id, payload.attempts);
        let mut tx = deps.db.tenant(ctx).await?;
        let taken = match take_in(deps, &mut tx, channel, id, &[payload]).await {
            Ok(()) => tx.commit().await.map_err(messages::Error::from),
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {}
            Err(error) if is_poison(&error) => {
                put_off(deps, ctx, id, (payload_id, attempts), &error).await?;
            }
            Err(error) => return Err(error),
        }
    }
    let mut tx = deps.db.tenant(ctx).await?;
    deps.archives.schedule(&mut tx, id);
    Ingest { channel: id }.enqueue(&mut tx);
    Ok(tx.commit().await?)
}

async fn put_off(
    deps: &Deps,
    ctx: &Ctx,
    channel: ChannelId,
    (id, attempts): (InboxId, i16),
    error: &messages::Error,
) -> Result<(), messages::Error> {
    let due_at = model::due_again(attempts, deps.ambient.now());
    tracing::error!(
        inbox = %id, attempts, set_aside = due_at.is_none(),
        error = error as &dyn std::error::Error, "a payload could not be taken in"
    );
    let mut tx = deps.db.tenant(ctx).await?;
    store::count_attempt(&mut tx, id, &error.to_string(), due_at).await?;
    if let Some(due_at) = due_at {
        Revisit { channel }.enqueue_at(&mut tx, due_at);
    }
    Ok(tx.commit().await?)
}

async fn take_in(
    deps: &Deps,
    tx: &mut TenantTx,
    channel: &dyn Channel,
    id: ChannelId,
    pending: &[Pending],
) -> Result<(), messages::Error> {
    let (mut sorted, mut done, mut unreadable) = (Sorted::default(), Vec::new(), Vec::new());
    for payload in pending {
        match channel.receive(&payload.body) {
            Ok(events) => {
                done.push((payload.id, i32::try_from(events.len()).unwrap_or(i32::MAX)));
                sorted.add(payload.id, payload.received_at, events);
            }
            Err(error) => unreadable.push((payload.id, error.to_string())),
        }
    }
    count(channel.kind(), &sorted);
    let made = happen(tx, id, sorted).await?;
    if made > 0 {
        // Once a transaction, so that two of them never wait for each other crosswise.
        deps.quotas.take(tx, Limited::Contacts, made).await?;
    }
    store::mark_done(tx, &done).await?;
    store::mark_unreadable(tx, &unreadable).await?;
    Ok(())
}

fn count(kind: &'static str, sorted: &Sorted) {
    let lists = [
        ("message", sorted.messages.len()),
        ("history", sorted.history.len()),
        ("echo", sorted.echoes.len()),
        ("status", sorted.statuses.len()),
        ("edit", sorted.edits.len()),
        ("revoke", sorted.revokes.len()),
        ("identity", sorted.identities.len()),
        ("unknown", sorted.unknown.len()),
    ];
    for (event, number) in lists.into_iter().filter(|(_, number)| *number > 0) {
        metrics::counter!("misy_channel_events_total", "kind" => kind, "event" => event)
            .increment(number as u64);
    }
}

/// Everything that the payloads tell, in the order in which one thing needs another: people,
/// conversations, messages, then what is said of messages. Says how many people are new.
async fn happen(
    tx: &mut TenantTx,
    id: ChannelId,
    mut sorted: Sorted,
) -> Result<u32, messages::Error> {
    let made = record_history(tx, id, &sorted.history).await?
        + record_messages(tx, id, &sorted.messages).await?
        + record_echoes(tx, id, &sorted).await?;
    let arrived = sorted.history.iter().chain(&sorted.messages);
    let arrived: Vec<String> =
        arrived.map(|one| crate::storable_id(&one.what.external_id)).collect();
    let early = store::take_early(tx, id, &arrived).await?;
    sorted.add_early(early);
    let Sorted { statuses, edits, revokes, identities, mut unknown, .. } = sorted;
    if !statuses.is_empty() {
        messages::service::apply_statuses(tx, id, &statuses).await?;
    }
    unknown.extend(revise(tx, id, edits, revokes).await?);
    for (old, new) in &identities {
        contacts::service::change_identity(tx, old, new).await?;
    }
    store::insert_events(tx, id, &unknown).await?;
    Ok(made)
}

/// Applies what customers changed and took back. What is said of messages that are not there comes
/// back, to be kept until they are: providers deliver in any order.
async fn revise(
    tx: &mut TenantTx,
    id: ChannelId,
    edits: Vec<(InboxId, Edit)>,
    revokes: Vec<(InboxId, Revoke)>,
) -> Result<Vec<Kept>, messages::Error> {
    let (edited_in, edits): (Vec<_>, Vec<_>) = edits.into_iter().unzip();
    let (revoked_in, revokes): (Vec<_>, Vec<_>) = revokes.into_iter().unzip();
    let edited = messages::service::apply_edits(tx, id, &edits).await?;
    let revoked = messages::service::apply_revokes(tx, id, &revokes).await?;
    let edits = edited_in.iter().zip(&edits).zip(edited).filter(|(_, found)| !found);
    let revokes = revoked_in.iter().zip(&revokes).zip(revoked).filter(|(_, found)| !found);
    let edits = edits.map(|((payload, edit), _)| model::early_edit(*payload, edit));
    let revokes = revokes.map(|((payload, revoke), _)| model::early_revoke(*payload, revoke));
    Ok(edits.chain(revokes).collect())
}

/// Stores messages in their conversations; each fresh one is to be answered.
async fn record_messages(
    tx: &mut TenantTx,
    id: ChannelId,
    messages: &[Placed<InboundMessage>],
) -> Result<u32, messages::Error> {
    if messages.is_empty() {
        return Ok(0);
    }
    let (times, made) = recognise(tx, messages).await?;
    let opened = conversations::service::open_for(tx, id, &times).await?;
    let received = messages::service::receive(tx, id, place(messages, &opened)).await?;
    for message in received.into_iter().filter(|message| message.fresh) {
        Respond { message: message.id, conversation: message.conversation }.enqueue(tx);
    }
    Ok(made)
}

/// Stores what was written before the account was connected; nobody waits for an answer to it.
async fn record_history(
    tx: &mut TenantTx,
    id: ChannelId,
    history: &[Placed<InboundMessage>],
) -> Result<u32, messages::Error> {
    if history.is_empty() {
        return Ok(0);
    }
    let (times, made) = recognise(tx, history).await?;
    let opened = conversations::service::open_outbound(tx, id, &times).await?;
    messages::service::receive(tx, id, place(history, &opened)).await?;
    Ok(made)
}

async fn recognise(
    tx: &mut TenantTx,
    messages: &[Placed<InboundMessage>],
) -> Result<(Vec<(ContactId, Timestamp)>, u32), messages::Error> {
    let (people, made) = contacts::service::recognise(tx, &model::senders(messages)).await?;
    let times = people.into_iter().zip(messages).map(|(contact, one)| (contact, one.at));
    Ok((times.collect(), made))
}

fn place(messages: &[Placed<InboundMessage>], opened: &[Opened]) -> Vec<NewInbound> {
    let placed = messages.iter().zip(opened).map(|(one, opened)| NewInbound {
        conversation: opened.id,
        contact: opened.contact,
        message: one.what.clone(),
        at: one.at,
    });
    placed.collect()
}

async fn record_echoes(
    tx: &mut TenantTx,
    id: ChannelId,
    sorted: &Sorted,
) -> Result<u32, messages::Error> {
    if sorted.echoes.is_empty() {
        return Ok(0);
    }
    let receivers: Vec<_> = sorted.echoes.iter().map(|echo| echo.what.to.clone()).collect();
    let (people, made) = contacts::service::recognise(tx, &receivers).await?;
    let times: Vec<_> =
        people.iter().zip(&sorted.echoes).map(|(contact, one)| (*contact, one.at)).collect();
    let opened = conversations::service::open_outbound(tx, id, &times).await?;
    let new: Vec<NewEcho> = sorted
        .echoes
        .iter()
        .zip(&opened)
        .map(|(one, opened)| NewEcho {
            conversation: opened.id,
            message: one.what.clone(),
            at: one.at,
        })
        .collect();
    messages::service::record_echoes(tx, id, &new).await?;
    Ok(made)
}
