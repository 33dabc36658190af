//! Room `conversation`: rows of `conversations`.

use std::collections::HashMap;

use misy_core::id::TypedId;
use misy_core::{ChannelId, ContactId, ConversationId, Cursor, Limit, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::{Conversation, Filter, Opened, Status};

/// A message of the customer decides over which channel answers go, unless a later one has already.
const OPEN: &str = "
    insert into conversations as conversation
        (tenant_id, id, contact_id, channel_id, last_inbound_at, last_message_at, created_at,
            updated_at)
    select $1, new.id, new.contact_id, $2, case when $3 then new.at end, new.at, $4, $4
    from unnest($5::uuid[], $6::uuid[], $7::timestamptz[]) as new (id, contact_id, at)
    on conflict (tenant_id, contact_id) where status <> 'closed' do update set
        channel_id = case
            when excluded.last_inbound_at >= coalesce(conversation.last_inbound_at, '-infinity')
            then excluded.channel_id else conversation.channel_id end,
        last_inbound_at = greatest(conversation.last_inbound_at, excluded.last_inbound_at),
        last_message_at = greatest(conversation.last_message_at, excluded.last_message_at),
        updated_at = $4
    returning id, contact_id, status, xmax = 0 as new";

/// The policy finds the row, the statement checks it (docs/adr, 88); so does the list.
const FIND: &str = "select * from conversations where uuid_eq(tenant_id, $1) and id = $2";

const FIND_ALL: &str = "select * from conversations where tenant_id = $1 and id = any($2)";

const LIST: &str = "
    select * from conversations
    where uuid_eq(tenant_id, $1) and id < $2
        and ($3::text is null or status = $3)
        and ($4::uuid is null or contact_id = $4) and ($5::uuid is null or channel_id = $5)
        and ($6::uuid is null or assignee_id = $6)
    order by id desc limit $7";

/// With the one of several filters that leaves least, each list has an index of its own.
const LIST_OF_CONTACT: &str = "
    select * from conversations
    where uuid_eq(tenant_id, $1) and id < $2 and contact_id = $4
        and ($3::text is null or status = $3)
        and ($5::uuid is null or channel_id = $5) and ($6::uuid is null or assignee_id = $6)
    order by id desc limit $7";

const LIST_OF_ASSIGNEE: &str = "
    select * from conversations
    where uuid_eq(tenant_id, $1) and id < $2 and assignee_id = $6
        and ($3::text is null or status = $3)
        and ($4::uuid is null or contact_id = $4) and ($5::uuid is null or channel_id = $5)
    order by id desc limit $7";

const LIST_IN_STATUS: &str = "
    select * from conversations
    where uuid_eq(tenant_id, $1) and id < $2 and status = $3
        and ($4::uuid is null or contact_id = $4) and ($5::uuid is null or channel_id = $5)
        and ($6::uuid is null or assignee_id = $6)
    order by id desc limit $7";

const UPDATE: &str = "
    update conversations set status = $4, assignee_id = $5, handed_over_at = $6, taken_over_at = $7,
        version = version + 1, updated_at = $8
    where tenant_id = $1 and id = $2 and version = $3 returning *";

const HAND_OVER: &str = "
    update conversations set status = 'waiting', handed_over_at = $3, version = version + 1,
        updated_at = $3
    where tenant_id = $1 and id = $2 and status = 'open' and taken_over_at is null
    returning contact_id, channel_id";

const TAKE_OVER: &str = "
    update conversations set taken_over_at = coalesce(taken_over_at, $3), updated_at = $3
    where tenant_id = $1 and id = any($2)";

/// How a message finds the open conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) contact: ContactId,
    pub(crate) at: Timestamp,
}

/// The open conversation of each contact, made where there is none. Each contact at most once.
pub(crate) async fn open(
    tx: &mut TenantTx,
    channel: ChannelId,
    inbound: bool,
    openings: &[Opening],
) -> Result<HashMap<ContactId, Opened>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let ids: Vec<Uuid> = openings.iter().map(|_| tx.ambient().uuid()).collect();
    let contacts: Vec<Uuid> = openings.iter().map(|one| one.contact.uuid()).collect();
    let times: Vec<Timestamp> = openings.iter().map(|one| one.at).collect();
    let params: [&(dyn ToSql + Sync); 7] =
        [&tenant, &channel.uuid(), &inbound, &now, &ids, &contacts, &times];
    let rows = tx.query(OPEN, &params).await?;
    let opened = |row: &Row| {
        let contact = ContactId::from_uuid(row.get("contact_id"));
        let id = ConversationId::from_uuid(row.get("id"));
        let (status, new) = (status(row)?, row.get("new"));
        Ok((contact, Opened { id, contact, status, new }))
    };
    rows.iter().map(opened).collect()
}

pub(crate) async fn find(
    tx: &mut TenantTx,
    id: ConversationId,
) -> Result<Option<Conversation>, Error> {
    tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(conversation).transpose()
}

/// Those of these that there are, in no order.
pub(crate) async fn find_all(
    tx: &mut TenantTx,
    ids: &[ConversationId],
) -> Result<Vec<Conversation>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    tx.query(FIND_ALL, &[&tx.tenant(), &ids]).await?.iter().map(conversation).collect()
}

/// Newest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Conversation>, Error> {
    let params: [&(dyn ToSql + Sync); 7] = [
        &tx.tenant(),
        &Cursor::before(cursor),
        &filter.status.map(Status::slug),
        &filter.contact.map(TypedId::uuid),
        &filter.channel.map(TypedId::uuid),
        &filter.assignee.map(TypedId::uuid),
        &limit.fetch(),
    ];
    let sql = match filter {
        Filter { contact: Some(_), .. } => LIST_OF_CONTACT,
        Filter { assignee: Some(_), .. } => LIST_OF_ASSIGNEE,
        Filter { status: Some(_), .. } => LIST_IN_STATUS,
        _ => LIST,
    };
    tx.query(sql, &params).await?.iter().map(conversation).collect()
}

/// Writes a changed conversation if nobody else has changed it meanwhile.
pub(crate) async fn update(
    tx: &mut TenantTx,
    new: &Conversation,
) -> Result<Option<Conversation>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let assignee = new.assignee.map(TypedId::uuid);
    let params: [&(dyn ToSql + Sync); 8] = [
        &tenant,
        &new.id.uuid(),
        &new.version,
        &new.status.slug(),
        &assignee,
        &new.handed_over_at,
        &new.taken_over_at,
        &now,
    ];
    tx.query_opt(UPDATE, &params).await?.as_ref().map(conversation).transpose()
}

/// Lets the customer wait for a person, unless one leads already; then gives who waits and where.
pub(crate) async fn hand_over(
    tx: &mut TenantTx,
    id: ConversationId,
) -> Result<Option<(ContactId, ChannelId)>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let row = tx.query_opt(HAND_OVER, &[&tenant, &id.uuid(), &now]).await?;
    let of = |row: Row| {
        let contact = ContactId::from_uuid(row.get("contact_id"));
        (contact, ChannelId::from_uuid(row.get("channel_id")))
    };
    Ok(row.map(of))
}

/// Notes that people of the business wrote in these conversations.
pub(crate) async fn take_over(tx: &mut TenantTx, ids: &[ConversationId]) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    tx.execute(TAKE_OVER, &[&tenant, &ids, &now]).await.map(drop)
}

fn status(row: &Row) -> Result<Status, Error> {
    Status::parse(row.get("status")).ok_or(Error::Corrupt { column: "status" })
}

fn conversation(row: &Row) -> Result<Conversation, Error> {
    Ok(Conversation {
        id: ConversationId::from_uuid(row.get("id")),
        contact: ContactId::from_uuid(row.get("contact_id")),
        channel: ChannelId::from_uuid(row.get("channel_id")),
        status: status(row)?,
        assignee: row.get::<_, Option<Uuid>>("assignee_id").map(UserId::from_uuid),
        handed_over_at: row.get("handed_over_at"),
        taken_over_at: row.get("taken_over_at"),
        last_inbound_at: row.get("last_inbound_at"),
        last_message_at: row.get("last_message_at"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}
