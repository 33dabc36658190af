//! Room `conversation`: rows of messages that come from providers.

use std::collections::HashMap;

use misy_channel::Content;
use misy_core::id::TypedId;
use misy_core::{ChannelId, MessageId, Timestamp};
use misy_store::{Error, TenantTx, ToSql};
use serde_json::{Value, json};
use uuid::Uuid;

use super::value;
use crate::messages::model::{NewEcho, NewInbound};

/// A message may answer one that comes in the same batch; the statement cannot see that one yet, so
/// its id is given along. One that is stored already goes before it.
const INSERT_INBOUND: &str = "
    with new as (
        select * from unnest(
            $4::uuid[], $5::uuid[], $6::text[], $7::jsonb[], $8::jsonb[], $9::text[], $10::text[],
            $11::uuid[], $12::timestamptz[]) with ordinality
            as new (id, conversation_id, author_id, content, extra, external_id, external_reply_to,
                reply_in_batch, at, place)),
    inserted as (
        insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
            author_id, content, extra, external_id, external_reply_to, reply_to, status, status_at,
            created_at, updated_at)
        select $1, new.id, new.conversation_id, $2, 'inbound', 'contact', new.author_id,
            new.content, new.extra, new.external_id, new.external_reply_to,
            coalesce(answered.id, new.reply_in_batch), 'delivered',
            jsonb_build_object('sent', to_jsonb(new.at), 'delivered', to_jsonb($3::timestamptz)),
            $3, $3
        from new left join messages as answered on answered.tenant_id = $1
            and answered.channel_id = $2 and answered.external_id = new.external_reply_to
        order by new.place
        on conflict (tenant_id, channel_id, external_id) where external_id is not null do nothing
        returning id)
    select new.id, inserted.id is not null as fresh, known.id as known_id
    from new left join inserted on inserted.id = new.id
        left join messages as known on known.tenant_id = $1 and known.channel_id = $2
            and known.external_id = new.external_id
    order by new.place";

const INSERT_ECHOES: &str = "
    insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        content, external_id, status, status_at, created_at, updated_at)
    select $1, new.id, new.conversation_id, $2, 'outbound', 'user', new.content, new.external_id,
        'sent', jsonb_build_object('sent', to_jsonb(new.at)), $3, $3
    from unnest($4::uuid[], $5::uuid[], $6::jsonb[], $7::text[], $8::timestamptz[])
        as new (id, conversation_id, content, external_id, at)
    on conflict (tenant_id, channel_id, external_id) where external_id is not null do nothing
    returning id";

const EDIT: &str = "
    update messages set content = new.content,
        extra = case when new.erase then '{}' else messages.extra end || new.extra,
        version = messages.version + 1, updated_at = $3
    from unnest($4::text[], $5::jsonb[], $6::jsonb[], $7::boolean[])
        as new (external_id, content, extra, erase)
    where messages.tenant_id = $1 and messages.channel_id = $2
        and messages.external_id = new.external_id and messages.direction = 'inbound'
        and not messages.extra ? 'revoked_at'
    returning messages.external_id";

/// What became of one message of a batch.
pub(crate) struct Inserted {
    pub(crate) id: MessageId,
    pub(crate) fresh: bool,
}

/// Writes messages of customers in their order; those that are there already stay as they are.
pub(crate) async fn insert_inbound(
    tx: &mut TenantTx,
    channel: ChannelId,
    messages: &[NewInbound],
) -> Result<Vec<Inserted>, Error> {
    let now = tx.ambient().now();
    let ids: Vec<Uuid> = messages.iter().map(|_| tx.ambient().uuid()).collect();
    let mut places: HashMap<&str, Uuid> = HashMap::new();
    for (new, id) in messages.iter().zip(&ids) {
        places.entry(&new.message.external_id).or_insert(*id);
    }
    let column = |pick: fn(&NewInbound) -> Uuid| messages.iter().map(pick).collect::<Vec<_>>();
    let extra = |new: &NewInbound| crate::storable_json(Value::Object(new.message.extra.clone()));
    let reply = |new: &NewInbound| new.message.reply_to.as_deref().map(crate::storable_id);
    let in_batch = messages.iter().map(|new| {
        let reply = new.message.reply_to.as_deref()?;
        places.get(reply).copied()
    });
    let in_batch: Vec<Option<Uuid>> = in_batch.collect();
    let params: [&(dyn ToSql + Sync); 12] = [
        &tx.tenant(),
        &channel.uuid(),
        &now,
        &ids,
        &column(|new| new.conversation.uuid()),
        &messages.iter().map(|new| new.contact.to_string()).collect::<Vec<_>>(),
        &messages.iter().map(|new| value(&new.message.content)).collect::<Vec<_>>(),
        &messages.iter().map(extra).collect::<Vec<_>>(),
        &messages
            .iter()
            .map(|new| crate::storable_id(&new.message.external_id))
            .collect::<Vec<_>>(),
        &messages.iter().map(reply).collect::<Vec<_>>(),
        &in_batch,
        &messages.iter().map(|new| new.at).collect::<Vec<_>>(),
    ];
    let rows = tx.query(INSERT_INBOUND, &params).await?;
    let inserted = rows.iter().map(|row| {
        let known: Option<Uuid> = row.get("known_id");
        let id = known.unwrap_or_else(|| row.get("id"));
        Inserted { id: MessageId::from_uuid(id), fresh: row.get("fresh") }
    });
    Ok(inserted.collect())
}

/// Writes messages that the business sent with another tool; gives the number that were new.
pub(crate) async fn insert_echoes(
    tx: &mut TenantTx,
    channel: ChannelId,
    echoes: &[NewEcho],
) -> Result<usize, Error> {
    let params: [&(dyn ToSql + Sync); 8] = [
        &tx.tenant(),
        &channel.uuid(),
        &tx.ambient().now(),
        &echoes.iter().map(|_| tx.ambient().uuid()).collect::<Vec<_>>(),
        &echoes.iter().map(|new| new.conversation.uuid()).collect::<Vec<_>>(),
        &echoes.iter().map(|new| value(&new.message.content)).collect::<Vec<_>>(),
        &echoes.iter().map(|new| crate::storable_id(&new.message.external_id)).collect::<Vec<_>>(),
        &echoes.iter().map(|new| new.at).collect::<Vec<_>>(),
    ];
    Ok(tx.query(INSERT_ECHOES, &params).await?.len())
}

/// A customer's later word on an earlier message.
pub(crate) struct Revision {
    pub(crate) external_id: String,
    pub(crate) content: Content,
    /// Under which name `extra` notes when.
    pub(crate) name: &'static str,
    pub(crate) at: Timestamp,
    /// Whether everything else that is known of the message must go.
    pub(crate) erase: bool,
}

/// Writes revisions, each message at most once; gives the external ids of those that were found.
pub(crate) async fn revise(
    tx: &mut TenantTx,
    channel: ChannelId,
    revisions: &[Revision],
) -> Result<Vec<String>, Error> {
    let note = |one: &Revision| json!({ one.name: one.at });
    let params: [&(dyn ToSql + Sync); 7] = [
        &tx.tenant(),
        &channel.uuid(),
        &tx.ambient().now(),
        &revisions.iter().map(|one| one.external_id.as_str()).collect::<Vec<_>>(),
        &revisions.iter().map(|one| value(&one.content)).collect::<Vec<_>>(),
        &revisions.iter().map(note).collect::<Vec<Value>>(),
        &revisions.iter().map(|one| one.erase).collect::<Vec<_>>(),
    ];
    let rows = tx.query(EDIT, &params).await?;
    Ok(rows.iter().map(|row| row.get("external_id")).collect())
}
