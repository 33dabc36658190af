//! Room `conversation`: rows of `messages`; reading them, and writing what goes out.

mod delivery;
mod inbound;
mod progress;
mod visits;

use misy_core::id::TypedId;
use misy_core::{ChannelId, ContactId, ConversationId, Cursor, Limit, MessageId, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::model::{
    Attempt, AttemptState, Author, AuthorKind, CITATIONS, Citation, Direction, Message, Order,
    Route,
};
use misy_channel::Content;
use misy_channel::event::Status;

pub(crate) use delivery::*;
pub(crate) use inbound::*;
pub(crate) use progress::*;
pub(crate) use visits::*;

const ROUTE_OF_CONVERSATION: &str = "
    select conversation.id, conversation.channel_id, channel.kind,
        channel.status = 'active' as active, conversation.status = 'closed' as closed,
        (select max(one.last_inbound_at) from conversations as one
            where one.tenant_id = $1 and one.contact_id = conversation.contact_id
                and one.channel_id = conversation.channel_id) as last_inbound_at,
        reply.id is not null as reply_found
    from conversations as conversation
    join channels as channel on channel.tenant_id = $1 and channel.id = conversation.channel_id
    left join messages as reply on reply.tenant_id = $1 and reply.id = $3
        and reply.conversation_id = conversation.id
    where conversation.tenant_id = $1 and conversation.id = $2";

const LAST_OF_CONTACT: &str = "
    select conversation.id, conversation.channel_id, conversation.status <> 'closed' as open
    from contacts as contact
    left join lateral (
        select * from conversations as one
        where one.tenant_id = $1 and one.contact_id = contact.id
        order by one.status = 'closed', one.last_message_at desc limit 1) as conversation on true
    where contact.tenant_id = $1 and contact.id = $2";

const CONTACT_OF_IDENTITY: &str = "
    select contact_id from contact_identities
    where tenant_id = $1 and namespace = $2 and value = $3";

/// Writes all parts or, if the conversation is not in the state that the author counts on, none.
const INSERT_OUTBOUND: &str = "
    with turn as (
        update conversations set
            status = coalesce($4, status), handed_over_at = coalesce($5, handed_over_at),
            taken_over_at = case when $6 then coalesce(taken_over_at, $3) else taken_over_at end,
            version = version + case when $4 is null then 0 else 1 end,
            last_message_at = greatest(last_message_at, $3), updated_at = $3
        where tenant_id = $1 and id = $2 and status <> 'closed'
            and (not $7 or (assignee_id is null and taken_over_at is null))
        returning id)
    insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        author_id, content, extra, reply_to, status, status_at, answers, part, created_at,
        updated_at)
    select $1, new.id, turn.id, $8, 'outbound', $9, $10, new.content, $11, $12, 'queued',
        jsonb_build_object('queued', to_jsonb($3::timestamptz)), $13, new.part - 1, $3, $3
    from turn, unnest($14::uuid[], $15::jsonb[]) with ordinality as new (id, content, part)
    returning messages.*";

/// The policy finds the row, the statement checks it (docs/adr, 88); so do lists.
const FIND: &str = "select * from messages where uuid_eq(tenant_id, $1) and id = $2";

const LIST_OLDEST_FIRST: &str = "
    select * from messages
    where uuid_eq(tenant_id, $1) and conversation_id = $2 and id > $3
    order by id limit $4";

const LIST_NEWEST_FIRST: &str = "
    select * from messages
    where uuid_eq(tenant_id, $1) and conversation_id = $2 and id < $3
    order by id desc limit $4";

/// The ids come from a function with the tenant's predicate of its own; the rows through the
/// policy.
const SEARCH: &str = "
    with found as materialized (select id, hit from misy_find_messages($2, $3, $4))
    select messages.*, id = any (array(select found.id from found where found.hit)) as is_hit,
        id = any (array(select found.id from found where not found.hit)) as is_end
    from messages where tenant_id = $1 and id = any (array(select found.id from found))
    order by id desc";

const CONVERSATION_EXISTS: &str = "select from conversations where tenant_id = $1 and id = $2";

const LIST_ATTEMPTS: &str = "
    select * from message_attempts where tenant_id = $1 and message_id = $2 order by id";

/// The way a message to the conversation would take.
pub(crate) async fn find_route(
    tx: &mut TenantTx,
    conversation: ConversationId,
    reply_to: Option<MessageId>,
) -> Result<Option<Route>, Error> {
    let params: [&(dyn ToSql + Sync); 3] =
        [&tx.tenant(), &conversation.uuid(), &reply_to.map(TypedId::uuid)];
    let row = tx.query_opt(ROUTE_OF_CONVERSATION, &params).await?;
    Ok(row.map(|row| Route {
        conversation,
        channel: ChannelId::from_uuid(row.get("channel_id")),
        kind: row.get("kind"),
        active: row.get("active"),
        closed: row.get("closed"),
        last_inbound_at: row.get("last_inbound_at"),
        reply_found: row.get("reply_found"),
    }))
}

/// A contact's latest conversation, the open one before others.
pub(crate) struct Latest {
    pub(crate) conversation: ConversationId,
    pub(crate) channel: ChannelId,
    pub(crate) open: bool,
}

/// `None` if there is no such contact, `Some(None)` if nobody ever wrote with it.
pub(crate) async fn find_latest(
    tx: &mut TenantTx,
    contact: ContactId,
) -> Result<Option<Option<Latest>>, Error> {
    let row = tx.query_opt(LAST_OF_CONTACT, &[&tx.tenant(), &contact.uuid()]).await?;
    Ok(row.map(|row| {
        let id: Option<Uuid> = row.get("id");
        id.map(|id| Latest {
            conversation: ConversationId::from_uuid(id),
            channel: ChannelId::from_uuid(row.get("channel_id")),
            open: row.get("open"),
        })
    }))
}

pub(crate) async fn find_contact(
    tx: &mut TenantTx,
    namespace: &str,
    value: &str,
) -> Result<Option<ContactId>, Error> {
    let row = tx.query_opt(CONTACT_OF_IDENTITY, &[&tx.tenant(), &namespace, &value]).await?;
    Ok(row.map(|row| ContactId::from_uuid(row.get("contact_id"))))
}

/// A message to write, already in the parts in which it goes out.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) conversation: ConversationId,
    pub(crate) channel: ChannelId,
    pub(crate) author: &'a Author,
    pub(crate) parts: &'a [Content],
    pub(crate) reply_to: Option<MessageId>,
    /// The customer's message that a responder answers with it; only if no person leads yet.
    pub(crate) answers: Option<MessageId>,
    pub(crate) citations: &'a [Citation],
    /// Whether the conversation now waits for a person.
    pub(crate) hands_over: bool,
}

/// Writes a message; gives its parts in their order, none if the conversation did not allow it.
pub(crate) async fn insert_outbound(
    tx: &mut TenantTx,
    out: &Outgoing<'_>,
) -> Result<Vec<Message>, Error> {
    let now = tx.ambient().now();
    let ids: Vec<Uuid> = out.parts.iter().map(|_| tx.ambient().uuid()).collect();
    let contents: Vec<Value> = out.parts.iter().map(value).collect();
    let extra = match out.citations {
        [] => Value::Object(Map::new()),
        some => serde_json::json!({ CITATIONS: some }),
    };
    let params: [&(dyn ToSql + Sync); 15] = [
        &tx.tenant(),
        &out.conversation.uuid(),
        &now,
        &out.hands_over.then_some("waiting"),
        &out.hands_over.then_some(now),
        &(out.author.kind == AuthorKind::User),
        &out.answers.is_some(),
        &out.channel.uuid(),
        &out.author.kind.slug(),
        &out.author.id,
        &extra,
        &out.reply_to.map(TypedId::uuid),
        &out.answers.map(TypedId::uuid),
        &ids,
        &contents,
    ];
    let rows = tx.query(INSERT_OUTBOUND, &params).await?;
    let mut parts = rows.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    parts.sort_unstable_by_key(|part| part.id);
    Ok(parts)
}

pub(crate) async fn find(tx: &mut TenantTx, id: MessageId) -> Result<Option<Message>, Error> {
    tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(message).transpose()
}

/// A conversation's messages; `None` if there is no such conversation.
pub(crate) async fn list(
    tx: &mut TenantTx,
    conversation: ConversationId,
    order: Order,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Option<Vec<Message>>, Error> {
    let (sql, from) = match order {
        Order::Asc => (LIST_OLDEST_FIRST, Cursor::after(cursor)),
        Order::Desc => (LIST_NEWEST_FIRST, Cursor::before(cursor)),
    };
    let tenant = tx.tenant();
    let rows = tx.query(sql, &[&tenant, &conversation.uuid(), &from, &limit.fetch()]).await?;
    if rows.is_empty()
        && tx.query_opt(CONVERSATION_EXISTS, &[&tenant, &conversation.uuid()]).await?.is_none()
    {
        return Ok(None);
    }
    rows.iter().map(message).collect::<Result<_, _>>().map(Some)
}

/// Messages of all conversations in which all words occur, newest first; and the last one that was
/// looked at, if the look ended before the messages did.
pub(crate) async fn search(
    tx: &mut TenantTx,
    phrase: &str,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<(Vec<Message>, Option<Cursor>), Error> {
    let (tenant, before) = (tx.tenant(), cursor.map(|cursor| cursor.0));
    let wanted = i32::try_from(limit.fetch()).unwrap_or(i32::MAX);
    let rows = tx.query(SEARCH, &[&tenant, &phrase, &before, &wanted]).await?;
    let end = rows.iter().find(|row| row.get("is_end")).map(|row| Cursor(row.get("id")));
    let hits = rows.iter().filter(|row| row.get("is_hit"));
    Ok((hits.map(message).collect::<Result<_, _>>()?, end))
}

pub(crate) async fn list_attempts(
    tx: &mut TenantTx,
    message: MessageId,
) -> Result<Vec<Attempt>, Error> {
    let rows = tx.query(LIST_ATTEMPTS, &[&tx.tenant(), &message.uuid()]).await?;
    let attempt = |row: &Row| {
        let state = AttemptState::parse(row.get("state"));
        Ok(Attempt {
            state: state.ok_or(Error::Corrupt { column: "state" })?,
            failure: read_opt(row, "failure")?,
            started_at: row.get("started_at"),
            ended_at: row.get("ended_at"),
        })
    };
    rows.iter().map(attempt).collect()
}

/// A message's content as it is stored and told.
pub(crate) fn content(content: &Content) -> Value {
    value(content)
}

fn value<T: Serialize>(part: &T) -> Value {
    let json = serde_json::to_value(part).expect("text, numbers, times and JSON serialise");
    crate::storable_json(json)
}

fn read<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, Error> {
    serde_json::from_value(row.get(column)).map_err(|_| Error::Corrupt { column })
}

fn read_opt<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<Option<T>, Error> {
    let value: Option<Value> = row.get(column);
    let read = |value| serde_json::from_value(value).map_err(|_| Error::Corrupt { column });
    value.map(read).transpose()
}

fn status(row: &Row) -> Result<Status, Error> {
    Status::parse(row.get("status")).ok_or(Error::Corrupt { column: "status" })
}

fn message(row: &Row) -> Result<Message, Error> {
    let direction = Direction::parse(row.get("direction"));
    let kind = AuthorKind::parse(row.get("author_kind"));
    let kind = kind.ok_or(Error::Corrupt { column: "author_kind" })?;
    Ok(Message {
        id: MessageId::from_uuid(row.get("id")),
        conversation: ConversationId::from_uuid(row.get("conversation_id")),
        channel: ChannelId::from_uuid(row.get("channel_id")),
        direction: direction.ok_or(Error::Corrupt { column: "direction" })?,
        author: Author { kind, id: row.get("author_id") },
        content: read(row, "content")?,
        extra: read(row, "extra")?,
        reply_to: row.get::<_, Option<Uuid>>("reply_to").map(MessageId::from_uuid),
        status: status(row)?,
        status_at: read(row, "status_at")?,
        external_id: row.get("external_id"),
        failure: read_opt(row, "failure")?,
        version: row.get("version"),
        created_at: row.get("created_at"),
    })
}

/// The least UUIDv7 of a moment.
fn first_id(at: Timestamp) -> Uuid {
    let ms = u128::try_from(at.as_millisecond()).unwrap_or(0);
    Uuid::from_u128(ms << 80)
}

/// Asked question by question: no plan is to read all that a tenant ever sent.
const COUNT_ANSWERED: &str = "
    select count(distinct q.conversation_id) from messages q
    where q.tenant_id = $1 and q.id >= $2 and q.direction = 'inbound' and q.created_at >= $3
      and (select true from messages a
        where a.tenant_id = $1 and a.conversation_id = q.conversation_id and a.id > q.id
          and a.direction = 'outbound' and a.status in ('sent', 'delivered', 'read')
        order by a.id limit 1)";

/// In how many conversations a customer has written since then and an answer has left.
pub(crate) async fn count_answered(tx: &mut TenantTx, since: Timestamp) -> Result<i64, Error> {
    let (tenant, first) = (tx.tenant(), first_id(since));
    let row = tx.query_opt(COUNT_ANSWERED, &[&tenant, &first, &since]).await?;
    Ok(row.map_or(0, |row| row.get(0)))
}
