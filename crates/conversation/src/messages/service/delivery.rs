//! Room `conversation`: handing a message to its provider, once.
//!
//! A try is durable before the provider is called. Whatever stops the program between that and the
//! record of the answer leaves a try without an end, which says that the outcome is unknown.
//! Providers know no idempotency key, so the message's status is waited for before it is sent
//! again.

use std::sync::Arc;
use std::time::Duration;

use misy_channel::event::Status;
use misy_channel::{Account, Channel, Failure, FailureKind, Outbound, Recipient, SendError, Sent};
use misy_core::event::{EventType, MessageStatusData, Told};
use misy_core::{ChannelId, Ctx, MessageId, Timestamp};
use misy_jobs::JobError;
use misy_store::TenantTx;
use uuid::Uuid;

use super::statuses;
use crate::messages::model::{
    AttemptState, Ending, Error, Next, after_failure, is_window_open, later, next,
};
use crate::messages::store::{self, Due, Moved};
use crate::{Below, Deps, channels};

/// How long a message waits that another worker is at in this moment.
const CROWDED: Duration = Duration::from_secs(1);

/// A try that was begun, with all it needs.
struct Try {
    message: MessageId,
    attempt: Uuid,
    started_at: Timestamp,
    tried: i64,
    channel: Arc<dyn Channel>,
    account: Arc<Account>,
    outbound: Outbound,
}

enum Begun {
    Ready(Box<Try>),
    Wait(Timestamp),
    Done,
}

/// Hands a message to its provider and notes what came of it.
pub(crate) async fn deliver(deps: &Deps, ctx: &Ctx, message: MessageId) -> Result<(), JobError> {
    let one = match begin(deps, ctx, message).await? {
        Begun::Ready(one) => one,
        Begun::Wait(until) => return Err(JobError::Park { until }),
        Begun::Done => return Ok(()),
    };
    let kind = one.channel.kind();
    match one.channel.send(&deps.egress.of(ctx), &one.account, &one.outbound).await {
        Ok(sent) => {
            metrics::counter!("misy_messages_sent_total", "channel" => kind).increment(1);
            Ok(note_sent(deps, ctx, &one, &sent).await?)
        }
        Err(error) => {
            metrics::counter!("misy_message_send_failures_total", "channel" => kind).increment(1);
            note_failure(deps, ctx, &one, error).await
        }
    }
}

async fn begin(deps: &Deps, ctx: &Ctx, message: MessageId) -> Result<Begun, Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(mut due) = store::begin_attempt(&mut tx, message).await? else {
        return Ok(Begun::Done);
    };
    let mut step = decide(deps, &due);
    if let (Next::Again { .. } | Next::GiveUp { .. }, Some((_, started_at))) = (step, due.open) {
        let waited = later(started_at, deps.config.unknown_outcome_wait_ms);
        if store::is_inbox_behind(&mut tx, due.channel, waited).await? {
            // Its status may have come in time and lie there still.
            return Ok(Begun::Wait(deps.ambient.now() + CROWDED));
        }
    }
    if let Next::Again { attempt } = step {
        let given_up = AttemptState::Retry;
        store::record_failure(&mut tx, message, attempt, given_up, &no_status().failure).await?;
        let Some(again) = store::begin_attempt(&mut tx, message).await? else {
            return Ok(Begun::Done);
        };
        (step, due) = (decide(deps, &again), again);
    }
    match step {
        Next::Send { attempt } => prepare(deps, tx, message, attempt, due).await,
        Next::Wait { until } => Ok(Begun::Wait(until)),
        Next::Again { .. } => Ok(Begun::Wait(deps.ambient.now() + CROWDED)),
        Next::GiveUp { attempt } => fail(tx, message, attempt, &no_status().failure).await,
        Next::Done => Ok(Begun::Done),
    }
}

fn decide(deps: &Deps, due: &Due) -> Next {
    let (now, wait_ms) = (deps.ambient.now(), deps.config.unknown_outcome_wait_ms);
    match next(due.status, due.begun, due.open, due.tried, wait_ms, now) {
        Some(step) => step,
        None => Next::Wait { until: now + CROWDED },
    }
}

fn no_status() -> SendError {
    SendError::new(FailureKind::UnknownOutcome, "no_status", "neither an answer nor a status came")
}

/// Finds account and channel, asks the policy once more, and makes the try durable.
async fn prepare(
    deps: &Deps,
    mut tx: TenantTx,
    message: MessageId,
    attempt: Uuid,
    due: Due,
) -> Result<Begun, Error> {
    let now = deps.ambient.now();
    let channel = deps.channels.find(&due.kind).filter(|_| due.active);
    let Some(channel) = channel.map(Arc::clone) else {
        let off = SendError::new(FailureKind::Account, "inactive", "the account is switched off");
        return fail(tx, message, attempt, &off.failure).await;
    };
    if !is_window_open(&due.content, channel.capability(), due.last_inbound_at, now) {
        let (code, detail) = ("window_closed", "the customer's window has closed meanwhile");
        let closed = SendError::new(FailureKind::WindowClosed, code, detail);
        return fail(tx, message, attempt, &closed.failure).await;
    }
    let account = channels::service::open(deps, &mut tx, due.channel).await?;
    tx.commit().await?;
    let outbound = Outbound {
        id: message,
        to: Recipient(due.to),
        content: due.content,
        reply_to: due.reply_to,
    };
    let (started_at, tried) = (now, due.tried);
    let one = Try { message, attempt, started_at, tried, channel, account, outbound };
    Ok(Begun::Ready(Box::new(one)))
}

async fn fail(
    mut tx: TenantTx,
    message: MessageId,
    attempt: Uuid,
    failure: &Failure,
) -> Result<Begun, Error> {
    let ended =
        store::record_failure(&mut tx, message, attempt, AttemptState::Failed, failure).await?;
    tell_failed(&mut tx, message, ended, failure);
    tx.commit().await?;
    Ok(Begun::Done)
}

/// The provider's id may have been taken by an echo of this very message; then the echo goes.
async fn note_sent(deps: &Deps, ctx: &Ctx, one: &Try, sent: &Sent) -> Result<(), Error> {
    match record_sent(deps, ctx, one, sent, false).await {
        Err(Error::Below(Below::Store(error))) if error.unique_violation().is_some() => {
            record_sent(deps, ctx, one, sent, true).await
        }
        other => other,
    }
}

async fn record_sent(
    deps: &Deps,
    ctx: &Ctx,
    one: &Try,
    sent: &Sent,
    echoed: bool,
) -> Result<(), Error> {
    let (channel, external_id) = (one.account.id, crate::storable_id(&sent.external_id));
    let mut tx = deps.db.tenant(ctx).await?;
    if echoed {
        store::delete_echo(&mut tx, one.message, channel, &external_id).await?;
    }
    let (first, early) =
        store::record_sent(&mut tx, one.message, one.attempt, channel, &external_id).await?;
    if let Some(moved) = first {
        let status = (EventType::MessageSent, Status::Sent.slug());
        tell(&mut tx, one.message, &moved, status, (Some(external_id), None));
    }
    let early = early.into_iter().map(|report| (Some(one.message), report));
    statuses::apply(&mut tx, channel, early.collect()).await?;
    Ok(tx.commit().await?)
}

/// Tells the outside how far a message has come.
fn tell(
    tx: &mut TenantTx,
    message_id: MessageId,
    moved: &Moved,
    (kind, status): (EventType, &'static str),
    (external_id, failure): (Option<String>, Option<serde_json::Value>),
) {
    let (conversation_id, channel_id) = (moved.conversation, moved.channel);
    let data =
        MessageStatusData { message_id, conversation_id, channel_id, status, external_id, failure };
    tx.emit(&Told::new(kind, Some(channel_id), data));
}

fn tell_failed(tx: &mut TenantTx, message: MessageId, ended: Option<Moved>, failure: &Failure) {
    let Some(moved) = ended else { return };
    let status = (EventType::MessageFailed, Status::Failed.slug());
    tell(tx, message, &moved, status, (None, serde_json::to_value(failure).ok()));
}

async fn note_failure(deps: &Deps, ctx: &Ctx, one: &Try, error: SendError) -> Result<(), JobError> {
    let (now, wait_ms) = (deps.ambient.now(), deps.config.unknown_outcome_wait_ms);
    let ending = after_failure(&error, one.tried, one.started_at, wait_ms, now);
    let state = match ending {
        Ending::Park { .. } | Ending::Retry { .. } => AttemptState::Retry,
        Ending::Unknown { .. } => AttemptState::Unknown,
        Ending::Failed { .. } => AttemptState::Failed,
    };
    let unhealthy = (ending == Ending::Failed { unhealthy: true }).then_some(one.account.id);
    record_failure(deps, ctx, one, state, &error.failure, unhealthy).await?;
    match ending {
        Ending::Park { until } | Ending::Unknown { until } => Err(JobError::Park { until }),
        Ending::Retry { after } => {
            Err(JobError::Retry { after: Some(after), source: Box::new(error) })
        }
        Ending::Failed { .. } => Ok(()),
    }
}

async fn record_failure(
    deps: &Deps,
    ctx: &Ctx,
    one: &Try,
    state: AttemptState,
    failure: &Failure,
    unhealthy: Option<ChannelId>,
) -> Result<(), Error> {
    let mut tx = deps.db.tenant(ctx).await?;
    let ended = store::record_failure(&mut tx, one.message, one.attempt, state, failure).await?;
    tell_failed(&mut tx, one.message, ended, failure);
    if let Some(channel) = unhealthy {
        channels::service::mark_unhealthy(&mut tx, channel, failure);
    }
    Ok(tx.commit().await?)
}

/// Tells the customer that a message was read, and that an answer is being typed if one is still on
/// its way. A failure is counted and forgotten: it is a courtesy.
pub(crate) async fn mark_read(deps: &Deps, ctx: &Ctx, message: MessageId) -> Result<(), Error> {
    let mut tx = deps.db.read(ctx).await?;
    let Some(seen) = store::find_inbound(&mut tx, message).await? else { return Ok(()) };
    let Some(channel) = deps.channels.find(&seen.kind) else { return Ok(()) };
    let account = channels::service::open(deps, &mut tx, seen.channel).await?;
    drop(tx);
    let typing = seen.answer_is_queued && channel.capability().typing;
    let told = channel.mark_read(&deps.egress.of(ctx), &account, &seen.external_id, typing).await;
    if told.is_err() {
        let kind = channel.kind();
        metrics::counter!("misy_message_read_marks_failed_total", "channel" => kind).increment(1);
    }
    Ok(())
}
