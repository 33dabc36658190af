//! Room `conversation`: what a responder needs to know of a message, and the search for entries.

use misy_channel::Content;
use misy_core::id::TypedId;
use misy_core::{ChannelId, ContactId, ConversationId, Ctx, KnowledgeEntryId, MessageId};
use misy_store::documents::DocumentError;
use misy_store::{Documents, Error, Kind, Row, TenantTx};
use uuid::Uuid;

use super::model::{Candidate, Context, Found, Turn};
use crate::messages::model::Route;

/// One document a conversation, under the conversation's id.
pub(crate) const CONTEXTS: Kind = Kind::new("contexts", &[]);

const FIND: &str = "
    select message.id, message.content, message.created_at, conversation.id as conversation_id,
        conversation.contact_id, conversation.channel_id, conversation.status,
        conversation.assignee_id is not null or conversation.taken_over_at is not null as led,
        contact.language, channel.kind, channel.status = 'active' as active,
        (select max(one.last_inbound_at) from conversations as one
            where one.tenant_id = $1 and one.contact_id = conversation.contact_id
                and one.channel_id = conversation.channel_id) as last_inbound_at,
        exists (select from messages as answer
            where answer.tenant_id = $1 and answer.answers = message.id) as answered,
        (select locale from tenants where id = $1) as tenant_locale
    from messages as message
    join conversations as conversation on conversation.tenant_id = $1
        and conversation.id = message.conversation_id
    join contacts as contact on contact.tenant_id = $1 and contact.id = conversation.contact_id
    join channels as channel on channel.tenant_id = $1 and channel.id = conversation.channel_id
    where message.tenant_id = $1 and message.id = $2 and message.direction = 'inbound'";

/// The text is cut into stems once for each language of the tenant. An entry has as many of them
/// as its own stems become fewer when those are taken out; the function is only a quick way to the
/// ids of entries that have any, through an index that the policy would not let be used. The first
/// step walks the index from one language to the next, whatever
/// the number of entries.
const SEARCH: &str = r"
    with recursive spoken (language) as (
        (select language from knowledge_entries where tenant_id = $1 order by language limit 1)
        union all
        select (select entry.language from knowledge_entries as entry
            where entry.tenant_id = $1 and entry.language > spoken.language
            order by entry.language limit 1)
        from spoken where spoken.language is not null),
    cut as materialized (
        select language, tsvector_to_array(to_tsvector(misy_text_config(language), $2)) as words
        from spoken where language is not null),
    asked as materialized (
        select language, words, (
            select string_agg(
                '''' || replace(replace(word, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery
            from unnest(words) as word) as any_word
        from cut)
    select asked.language, cardinality(asked.words) as asked, best.*
    from asked left join lateral (
        select near.id, near.question, near.answer, length(near.question_words) as known,
            length(near.question_words)
                - length(ts_delete(near.question_words, asked.words)) as in_question,
            length(near.question_words || near.answer_words)
                - length(ts_delete(near.question_words || near.answer_words, asked.words))
                as in_either
        from (
            select * from (
                select * from knowledge_entries as one
                where one.tenant_id = $1 and one.language = asked.language
                    and asked.any_word is not null
                    and one.id = any (array(select misy_find_knowledge(asked.words)))
                union all
                select * from knowledge_entries as one
                where one.tenant_id = $1 and one.language = asked.language
                    and asked.any_word is null and length(one.question_words) = 0) as entry
            order by ts_rank(entry.question_words, asked.any_word, 2) desc, entry.id
            limit $3) as near) as best on true";

/// How many entries of each language are looked at closely.
const PROMISING: i64 = 8;

/// A message that may want an answer.
pub(crate) struct Asked {
    pub(crate) turn: Turn,
    pub(crate) route: Route,
    /// Whether it has an answer already.
    pub(crate) answered: bool,
    /// Whether a person leads the conversation.
    pub(crate) led: bool,
}

pub(crate) async fn find(tx: &mut TenantTx, message: MessageId) -> Result<Option<Asked>, Error> {
    let row = tx.query_opt(FIND, &[&tx.tenant(), &message.uuid()]).await?;
    row.as_ref().map(asked).transpose()
}

fn asked(row: &Row) -> Result<Asked, Error> {
    let content: Content = serde_json::from_value(row.get("content"))
        .map_err(|_| Error::Corrupt { column: "content" })?;
    let conversation = ConversationId::from_uuid(row.get("conversation_id"));
    let status: &str = row.get("status");
    let turn = Turn {
        message: MessageId::from_uuid(row.get("id")),
        conversation,
        contact: ContactId::from_uuid(row.get("contact_id")),
        content,
        at: row.get("created_at"),
        detected_language: None,
        contact_language: row.get("language"),
        tenant_locale: row.get("tenant_locale"),
        waiting: status == "waiting",
    };
    let route = Route {
        conversation,
        channel: ChannelId::from_uuid(row.get("channel_id")),
        kind: row.get("kind"),
        active: row.get("active"),
        closed: status == "closed",
        last_inbound_at: row.get("last_inbound_at"),
        reply_found: false,
    };
    Ok(Asked { turn, route, answered: row.get("answered"), led: row.get("led") })
}

/// What is remembered of a conversation.
pub(crate) async fn find_context(
    documents: &Documents,
    ctx: &Ctx,
    conversation: ConversationId,
) -> Result<Context, DocumentError> {
    let kept = documents.of(ctx).collection(CONTEXTS).get(conversation.uuid()).await?;
    Ok(kept.map(|kept| kept.body).unwrap_or_default())
}

pub(crate) async fn put_context(
    documents: &Documents,
    ctx: &Ctx,
    conversation: ConversationId,
    context: &Context,
) -> Result<(), DocumentError> {
    let contexts = documents.of(ctx).collection(CONTEXTS);
    contexts.put(conversation.uuid(), context).await.map(drop)
}

/// Entries that share words with the text, in every language of the tenant.
pub(crate) async fn search(tx: &mut TenantTx, text: &str) -> Result<Found, Error> {
    let rows = tx.query(SEARCH, &[&tx.tenant(), &text, &PROMISING]).await?;
    let mut found = Found::default();
    for row in &rows {
        let language: String = row.get("language");
        if found.languages.last() != Some(&language) {
            found.languages.push(language.clone());
        }
        found.candidates.extend(candidate(row, language));
    }
    Ok(found)
}

fn candidate(row: &Row, language: String) -> Option<Candidate> {
    let id: Option<Uuid> = row.get("id");
    let count = |column: &str| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
    id.map(|id| Candidate {
        entry: KnowledgeEntryId::from_uuid(id),
        language,
        question: row.get("question"),
        answer: row.get("answer"),
        asked: count("asked"),
        known: count("known"),
        in_question: count("in_question"),
        in_either: count("in_either"),
    })
}
