//! Room `conversation`: messages by the identity of whom they were said with.

use misy_core::id::TypedId;
use misy_core::{ChannelId, Cursor, MessageId};
use misy_store::{Error, TenantTx, ToSql};
use uuid::Uuid;

use super::message;
use crate::messages::model::Message;

const LATEST: &str = "
    select message.* from contact_identities as identity
    join conversations as conversation on conversation.tenant_id = $1
        and conversation.contact_id = identity.contact_id
    join messages as message on message.tenant_id = $1
        and message.conversation_id = conversation.id and message.channel_id = $4
    where identity.tenant_id = $1 and identity.namespace = $2 and identity.value = $3
        and (message.direction = 'inbound' or message.status in ('sent', 'delivered', 'read'))
    order by message.id desc limit $5";

/// A message has its id before it is sent, so one that is sent late may have an earlier id than one
/// that was fetched: what was never fetched comes whatever its id.
const SINCE: &str = "
    select message.* from contact_identities as identity
    join conversations as conversation on conversation.tenant_id = $1
        and conversation.contact_id = identity.contact_id
    join messages as message on message.tenant_id = $1
        and message.conversation_id = conversation.id and message.channel_id = $4
    where identity.tenant_id = $1 and identity.namespace = $2 and identity.value = $3
        and (message.direction = 'inbound' or message.status in ('sent', 'delivered', 'read'))
        and (message.id > $6 or (message.direction = 'outbound' and message.status = 'sent'))
    order by message.id limit $5";

/// Asked for as a range over the whole index key, or the planner may walk all messages of the
/// tenant that came before.
const UNSEEN: &str = "
    with theirs as materialized (
        select conversation.id from contact_identities as identity
        join conversations as conversation on conversation.tenant_id = $1
            and conversation.contact_id = identity.contact_id
        where identity.tenant_id = $1 and identity.namespace = $2 and identity.value = $3)
    select own.id, own.id = $5 as is_last, own.is_unseen
    from theirs cross join lateral (
        select message.id, message.direction = 'outbound'
            and message.status in ('sent', 'delivered') as is_unseen
        from messages as message
        where message.tenant_id = $1 and message.channel_id = $4
            and (message.conversation_id, message.id) >= (theirs.id, $7::uuid)
            and (message.conversation_id, message.id) <= (theirs.id, $5)
            and (message.id = $5 or (message.direction = 'outbound'
                and message.status in ('sent', 'delivered')))
        order by message.conversation_id desc, message.id desc limit $6) as own
    order by own.id desc limit $6";

/// The latest messages, newest first.
pub(crate) async fn list_latest(
    tx: &mut TenantTx,
    (namespace, value): (&str, &str),
    channel: ChannelId,
    count: i64,
) -> Result<Vec<Message>, Error> {
    let params: [&(dyn ToSql + Sync); 5] =
        [&tx.tenant(), &namespace, &value, &channel.uuid(), &count];
    tx.query(LATEST, &params).await?.iter().map(message).collect()
}

/// The messages after one, and those that nobody has fetched.
pub(crate) async fn list_since(
    tx: &mut TenantTx,
    (namespace, value): (&str, &str),
    channel: ChannelId,
    since: Cursor,
    count: i64,
) -> Result<Vec<Message>, Error> {
    let params: [&(dyn ToSql + Sync); 6] =
        [&tx.tenant(), &namespace, &value, &channel.uuid(), &count, &since.0];
    tx.query(SINCE, &params).await?.iter().map(message).collect()
}

/// Our messages up to one that were not seen yet, the latest ones; `None` if that one was not said
/// with whoever holds the identity.
pub(crate) async fn list_unseen(
    tx: &mut TenantTx,
    (namespace, value): (&str, &str),
    channel: ChannelId,
    up_to: MessageId,
    count: i64,
) -> Result<Option<Vec<MessageId>>, Error> {
    let who: [&(dyn ToSql + Sync); 4] = [&tx.tenant(), &namespace, &value, &channel.uuid()];
    let what: [&(dyn ToSql + Sync); 3] = [&up_to.uuid(), &count, &Uuid::nil()];
    let rows = tx.query(UNSEEN, &[who.as_slice(), &what].concat()).await?;
    let is_theirs = rows.first().is_some_and(|row| row.get("is_last"));
    let unseen = rows.iter().filter(|row| row.get("is_unseen"));
    let ids = unseen.map(|row| MessageId::from_uuid(row.get::<_, Uuid>("id")));
    Ok(is_theirs.then(|| ids.collect()))
}
