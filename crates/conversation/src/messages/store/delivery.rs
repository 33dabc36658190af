//! Room `conversation`: rows of `message_attempts`, and what a message needs on its way out.

use std::collections::BTreeSet;
use std::sync::Mutex;

use misy_channel::event::Status;
use misy_channel::{Content, Failure, IdentityClaim};
use misy_core::id::TypedId;
use misy_core::{ChannelId, ConversationId, MessageId, Personal, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use serde::Deserialize;
use uuid::Uuid;

use super::{first_id, read, read_opt, status, value};
use crate::messages::model::{AttemptState, Report};

/// Begins a try in the statement that reads the message. The index of open tries lets only one
/// begin.
const BEGIN_ATTEMPT: &str = "
    with message as (
        select one.*, conversation.contact_id, channel.kind, channel.status = 'active' as active,
            reply.external_id as reply_external_id, (
                select max(other.last_inbound_at) from conversations as other
                where other.tenant_id = $1 and other.contact_id = conversation.contact_id
                    and other.channel_id = one.channel_id) as last_inbound_at
        from messages as one
        join conversations as conversation on conversation.tenant_id = $1
            and conversation.id = one.conversation_id
        join channels as channel on channel.tenant_id = $1 and channel.id = one.channel_id
        left join messages as reply on reply.tenant_id = $1 and reply.id = one.reply_to
        where one.tenant_id = $1 and one.id = $2 and one.direction = 'outbound'),
    begun as (
        insert into message_attempts (tenant_id, id, message_id, state, started_at)
        select $1, $3, id, 'sending', $4 from message where status = 'queued'
        on conflict (tenant_id, message_id) where state in ('sending', 'unknown') do nothing
        returning id)
    select message.channel_id, message.content, message.status, message.last_inbound_at,
        message.kind, message.active, message.reply_external_id, begun.id as begun,
        open.id as open_id, open.started_at as open_started_at,
        (select count(*) from message_attempts as closed
            where closed.tenant_id = $1 and closed.message_id = message.id
                and closed.state = 'retry' and closed.failure ->> 'kind' <> 'throttled') as tried,
        (select coalesce(jsonb_agg(to_jsonb(identity) order by identity.id), '[]')
            from contact_identities as identity
            where identity.tenant_id = $1 and identity.contact_id = message.contact_id)
            as identities
    from message
    left join begun on true
    left join message_attempts as open on open.tenant_id = $1 and open.message_id = message.id
        and open.state in ('sending', 'unknown')";

/// Statuses that came before the provider's answer are taken along.
const RECORD_SENT: &str = "
    with ended as (
        update message_attempts set state = 'sent', ended_at = $4
        where tenant_id = $1 and id = $3 and state in ('sending', 'unknown')),
    early as (
        delete from early_statuses
        where tenant_id = $1 and channel_id = $5 and external_id = $6
        returning status, at, failure)
    update messages set external_id = $6, version = version + 1, updated_at = $4,
        status = case when status = 'queued' then 'sent' else status end,
        status_at = jsonb_build_object('sent', to_jsonb($4::timestamptz)) || status_at
    where tenant_id = $1 and id = $2
    returning conversation_id, channel_id, (select jsonb_agg(to_jsonb(early)) from early) as early,
        (select one.status = 'queued' from messages as one
            where one.tenant_id = $1 and one.id = $2) as first";

/// The message is locked before its try, as whoever takes a status in does.
/// The attempt is looked up by its id alone: `is not distinct from` is a condition that no index
/// answers, so that no other one can be chosen.
const RECORD_FAILURE: &str = "
    with message as (
        select id from messages where tenant_id = $1 and id = $2 for no key update),
    ended as (
        update message_attempts as attempt set state = $4, failure = $5,
            ended_at = case when $4 = 'unknown' then null else $6::timestamptz end
        where attempt.tenant_id = $1 and attempt.id = $3
            and attempt.message_id is not distinct from (select id from message)
            and attempt.state in ('sending', 'unknown')
        returning attempt.id)
    update messages set status = 'failed', failure = $5, version = version + 1, updated_at = $6,
        status_at = status_at || jsonb_build_object('failed', to_jsonb($6::timestamptz))
    where tenant_id = $1 and id = $2 and status = 'queued' and $4 = 'failed'
        and exists (select from ended)
    returning conversation_id, channel_id";

/// Ids of payloads are time-ordered.
const IS_INBOX_BEHIND: &str = "
    select from inbox
    where tenant_id = $1 and channel_id = $2 and state = 'pending' and id < $3 limit 1";

const DELETE_ECHO: &str = "
    delete from messages
    where tenant_id = $1 and channel_id = $2 and external_id = $3 and id <> $4
        and author_kind = 'user' and author_id is null";

const FIND_INBOUND: &str = "
    select message.channel_id, message.external_id, channel.kind, exists (
        select from messages as answer
        where answer.tenant_id = $1 and answer.answers = message.id and answer.status = 'queued')
        as answer_is_queued
    from messages as message
    join channels as channel on channel.tenant_id = $1 and channel.id = message.channel_id
    where message.tenant_id = $1 and message.id = $2 and message.external_id is not null
        and channel.status = 'active'";

/// A message whose delivery is due.
pub(crate) struct Due {
    pub(crate) channel: ChannelId,
    pub(crate) kind: String,
    pub(crate) active: bool,
    pub(crate) content: Content,
    pub(crate) status: Status,
    pub(crate) last_inbound_at: Option<Timestamp>,
    pub(crate) reply_to: Option<String>,
    pub(crate) to: Vec<IdentityClaim>,
    /// The try that was begun just now.
    pub(crate) begun: Option<Uuid>,
    /// The try that is without an end since then.
    pub(crate) open: Option<(Uuid, Timestamp)>,
    /// Tries that a passing fault has ended.
    pub(crate) tried: i64,
}

/// Reads a message and, if it is queued and no try is open, begins one.
pub(crate) async fn begin_attempt(
    tx: &mut TenantTx,
    message: MessageId,
) -> Result<Option<Due>, Error> {
    let (tenant, now, attempt) = (tx.tenant(), tx.ambient().now(), tx.ambient().uuid());
    let row = tx.query_opt(BEGIN_ATTEMPT, &[&tenant, &message.uuid(), &attempt, &now]).await?;
    row.as_ref().map(due).transpose()
}

#[derive(Deserialize)]
struct IdentityJson {
    namespace: String,
    value: Personal<String>,
}

fn due(row: &Row) -> Result<Due, Error> {
    let identities: Vec<IdentityJson> = read(row, "identities")?;
    let claim = |one: IdentityJson| IdentityClaim {
        namespace: namespace(&one.namespace),
        value: one.value,
    };
    let open: Option<Uuid> = row.get("open_id");
    let open_started_at: Option<Timestamp> = row.get("open_started_at");
    Ok(Due {
        channel: ChannelId::from_uuid(row.get("channel_id")),
        kind: row.get("kind"),
        active: row.get("active"),
        content: read(row, "content")?,
        status: status(row)?,
        last_inbound_at: row.get("last_inbound_at"),
        reply_to: row.get("reply_external_id"),
        to: identities.into_iter().map(claim).collect(),
        begun: row.get("begun"),
        open: open.zip(open_started_at),
        tried: row.get("tried"),
    })
}

/// Namespaces are constants of adapters, so a claim holds `&'static str`; the few that come back
/// from the database are kept for good.
fn namespace(name: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = known.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    known.insert(name);
    name
}

#[derive(Deserialize)]
struct EarlyJson {
    status: Status,
    at: Timestamp,
    failure: Option<Failure>,
}

/// What is told of a message that came further.
pub(crate) struct Moved {
    pub(crate) conversation: ConversationId,
    pub(crate) channel: ChannelId,
}

fn moved(row: &Row) -> Moved {
    Moved {
        conversation: ConversationId::from_uuid(row.get("conversation_id")),
        channel: ChannelId::from_uuid(row.get("channel_id")),
    }
}

/// Notes that the provider took the message; gives where it belongs, if nobody had said so before,
/// and the statuses that came before that.
pub(crate) async fn record_sent(
    tx: &mut TenantTx,
    message: MessageId,
    attempt: Uuid,
    channel: ChannelId,
    external_id: &str,
) -> Result<(Option<Moved>, Vec<Report>), Error> {
    let now = tx.ambient().now();
    let params: [&(dyn ToSql + Sync); 6] =
        [&tx.tenant(), &message.uuid(), &attempt, &now, &channel.uuid(), &external_id];
    let Some(row) = tx.query_opt(RECORD_SENT, &params).await? else {
        return Ok((None, Vec::new()));
    };
    let early: Option<Vec<EarlyJson>> = read_opt(&row, "early")?;
    let report = |one: EarlyJson| Report {
        external_id: external_id.to_owned(),
        status: one.status,
        at: one.at,
        failure: one.failure,
        extra: serde_json::Map::new(),
    };
    let first = row.get::<_, Option<bool>>("first").unwrap_or(false);
    let early = early.unwrap_or_default().into_iter().map(report).collect();
    Ok((first.then(|| moved(&row)), early))
}

/// Notes how a try ended otherwise; `Failed` is the end of the message too, and then gives where it
/// belongs. A try that a status has settled meanwhile stays as it is.
pub(crate) async fn record_failure(
    tx: &mut TenantTx,
    message: MessageId,
    attempt: Uuid,
    state: AttemptState,
    failure: &Failure,
) -> Result<Option<Moved>, Error> {
    let now = tx.ambient().now();
    let failure = value(failure);
    let params: [&(dyn ToSql + Sync); 6] =
        [&tx.tenant(), &message.uuid(), &attempt, &state.slug(), &failure, &now];
    Ok(tx.query_opt(RECORD_FAILURE, &params).await?.as_ref().map(moved))
}

/// Whether a payload that was delivered before then has not been taken in yet.
pub(crate) async fn is_inbox_behind(
    tx: &mut TenantTx,
    channel: ChannelId,
    before: Timestamp,
) -> Result<bool, Error> {
    let params: [&(dyn ToSql + Sync); 3] = [&tx.tenant(), &channel.uuid(), &first_id(before)];
    Ok(tx.query_opt(IS_INBOX_BEHIND, &params).await?.is_some())
}

/// Takes away what was taken for a message of another tool and is one of ours.
pub(crate) async fn delete_echo(
    tx: &mut TenantTx,
    message: MessageId,
    channel: ChannelId,
    external_id: &str,
) -> Result<(), Error> {
    let params: [&(dyn ToSql + Sync); 4] =
        [&tx.tenant(), &channel.uuid(), &external_id, &message.uuid()];
    tx.execute(DELETE_ECHO, &params).await.map(drop)
}

/// A customer's message as its provider knows it.
pub(crate) struct Seen {
    pub(crate) channel: ChannelId,
    pub(crate) kind: String,
    pub(crate) external_id: String,
    /// Whether an answer is still on its way.
    pub(crate) answer_is_queued: bool,
}

/// `None` if there is no such message, or none that its provider could be told about.
pub(crate) async fn find_inbound(
    tx: &mut TenantTx,
    message: MessageId,
) -> Result<Option<Seen>, Error> {
    let row = tx.query_opt(FIND_INBOUND, &[&tx.tenant(), &message.uuid()]).await?;
    Ok(row.map(|row| Seen {
        channel: ChannelId::from_uuid(row.get("channel_id")),
        kind: row.get("kind"),
        external_id: row.get("external_id"),
        answer_is_queued: row.get("answer_is_queued"),
    }))
}
