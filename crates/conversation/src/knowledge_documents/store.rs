//! Room `conversation`: rows of `knowledge_documents` and `knowledge_passages`, and the texts.

use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, KnowledgeDocumentId, Limit};
use misy_store::documents::DocumentError;
use misy_store::{Documents, Error, Kind, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::{Body, Excerpt, Filter, KnowledgeDocument, NewDocument, Passage};

/// One document a text.
pub(crate) const TEXTS: Kind = Kind::new("knowledge_texts", &[]);

const INSERT: &str = "
    insert into knowledge_documents
        (tenant_id, id, title, language, tags, body_id, bytes, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $8) returning *";

const FIND: &str = "select * from knowledge_documents where tenant_id = $1 and id = $2";

const LIST: &str = "
    select * from knowledge_documents
    where tenant_id = $1 and id < $2
        and ($3::text is null or language = $3) and ($4::text is null or $4 = any(tags))
    order by id desc limit $5";

const UPDATE: &str = "
    update knowledge_documents set title = $4, language = $5, tags = $6, body_id = $7, bytes = $8,
        version = version + 1, updated_at = $9
    where tenant_id = $1 and id = $2 and version = $3 returning *";

const DELETE: &str = "
    delete from knowledge_documents where tenant_id = $1 and id = $2 returning body_id, bytes";

/// Takes the row, so that two runs for one document write its passages one after the other.
const MARK_INDEXED: &str = "
    update knowledge_documents set indexed_version = version, passages = $4
    where tenant_id = $1 and id = $2 and version = $3 and indexed_version <> version";

const DELETE_PASSAGES: &str = "
    delete from knowledge_passages where tenant_id = $1 and document_id = $2";

const INSERT_PASSAGES: &str = "
    insert into knowledge_passages (tenant_id, id, document_id, position, language, heading, body)
    select $1, id, $2, position, $3, heading, body
    from unnest($4::uuid[], $5::int4[], $6::text[], $7::text[])
        as new (id, position, heading, body)";

/// The text is cut into stems once for each language of the tenant. The function is only a quick
/// way to ids, through an index that the policy would not let be used.
const SEARCH: &str = "
    with recursive spoken (language) as (
        (select language from knowledge_documents where tenant_id = $1
            order by language limit 1)
        union all
        select (select document.language from knowledge_documents as document
            where document.tenant_id = $1 and document.language > spoken.language
            order by document.language limit 1)
        from spoken where spoken.language is not null),
    asked as materialized (
        select language, tsvector_to_array(to_tsvector(misy_text_config(language), $2)) as words
        from spoken where language is not null)
    select asked.language, cardinality(asked.words) as asked, best.*
    from asked cross join lateral (
        select passage.document_id, passage.position, passage.body,
            length(passage.words) - length(ts_delete(passage.words, asked.words)) as shared
        from knowledge_passages as passage
        where passage.tenant_id = $1 and passage.language = asked.language
            and cardinality(asked.words) > 0
            and passage.id = any (array(select misy_find_passages(asked.words, $3)))
        order by shared desc, passage.document_id, passage.position limit $4) as best";

/// How many passages come out of the index for each language, and how many are looked at closely.
const FETCHED: i32 = 64;
const PROMISING: i64 = 4;

pub(crate) async fn put_body(
    documents: &Documents,
    ctx: &Ctx,
    id: Uuid,
    body: &Body,
) -> Result<(), DocumentError> {
    documents.of(ctx).collection(TEXTS).put(id, body).await.map(drop)
}

pub(crate) async fn find_body(
    documents: &Documents,
    ctx: &Ctx,
    id: Uuid,
) -> Result<Option<Body>, DocumentError> {
    let kept = documents.of(ctx).collection(TEXTS).get(id).await?;
    Ok(kept.map(|kept| kept.body))
}

pub(crate) async fn delete_body(
    documents: &Documents,
    ctx: &Ctx,
    id: Uuid,
) -> Result<(), DocumentError> {
    documents.of(ctx).collection(TEXTS).delete(id).await.map(drop)
}

pub(crate) async fn insert(
    tx: &mut TenantTx,
    new: &NewDocument,
    body: Uuid,
) -> Result<KnowledgeDocument, Error> {
    let (id, now, bytes) = (tx.ambient().uuid(), tx.ambient().now(), bytes(new));
    let params: [&(dyn ToSql + Sync); 8] =
        [&tx.tenant(), &id, &new.title, &new.language, &new.tags, &body, &bytes, &now];
    let row = tx.query_opt(INSERT, &params).await?;
    row.as_ref().map(document).ok_or(Error::Aborted)
}

/// The length of a text, which is bounded far below what the column holds.
fn bytes(new: &NewDocument) -> i32 {
    i32::try_from(new.text.len()).unwrap_or(i32::MAX)
}

pub(crate) async fn find(
    tx: &mut TenantTx,
    id: KnowledgeDocumentId,
) -> Result<Option<KnowledgeDocument>, Error> {
    Ok(tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(document))
}

/// Newest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<KnowledgeDocument>, Error> {
    let (own, before) = (tx.tenant(), Cursor::before(cursor));
    let params: [&(dyn ToSql + Sync); 5] =
        [&own, &before, &filter.language, &filter.tag, &limit.fetch()];
    Ok(tx.query(LIST, &params).await?.iter().map(document).collect())
}

/// Writes a changed document if nobody else has changed it meanwhile.
pub(crate) async fn update(
    tx: &mut TenantTx,
    before: &KnowledgeDocument,
    new: &NewDocument,
    body: Uuid,
) -> Result<Option<KnowledgeDocument>, Error> {
    let (own, now, bytes) = (tx.tenant(), tx.ambient().now(), bytes(new));
    let (id, version) = (before.id.uuid(), before.version);
    let params: [&(dyn ToSql + Sync); 9] =
        [&own, &id, &version, &new.title, &new.language, &new.tags, &body, &bytes, &now];
    Ok(tx.query_opt(UPDATE, &params).await?.as_ref().map(document))
}

/// Removes the row with its passages; gives the id of the text that it named.
pub(crate) async fn delete(
    tx: &mut TenantTx,
    id: KnowledgeDocumentId,
) -> Result<Option<(Uuid, i32)>, Error> {
    let row = tx.query_opt(DELETE, &[&tx.tenant(), &id.uuid()]).await?;
    Ok(row.map(|row| (row.get("body_id"), row.get("bytes"))))
}

/// Whether the passages of this version were still to be made.
pub(crate) async fn mark_indexed(
    tx: &mut TenantTx,
    document: &KnowledgeDocument,
    passages: usize,
) -> Result<bool, Error> {
    let (own, passages) = (tx.tenant(), i32::try_from(passages).unwrap_or(i32::MAX));
    let params: [&(dyn ToSql + Sync); 4] =
        [&own, &document.id.uuid(), &document.version, &passages];
    Ok(tx.execute(MARK_INDEXED, &params).await? > 0)
}

pub(crate) async fn replace_passages(
    tx: &mut TenantTx,
    document: &KnowledgeDocument,
    passages: &[Passage],
) -> Result<(), Error> {
    let (own, id) = (tx.tenant(), document.id.uuid());
    tx.execute(DELETE_PASSAGES, &[&own, &id]).await?;
    let ids: Vec<Uuid> = passages.iter().map(|_| tx.ambient().uuid()).collect();
    let positions: Vec<i32> = (0..).take(passages.len()).collect();
    let headings: Vec<&str> = passages.iter().map(|one| one.heading.as_str()).collect();
    let texts: Vec<&str> = passages.iter().map(|one| one.text.as_str()).collect();
    let params: [&(dyn ToSql + Sync); 7] =
        [&own, &id, &document.language, &ids, &positions, &headings, &texts];
    tx.execute(INSERT_PASSAGES, &params).await.map(drop)
}

/// Passages that share words with a text, the most promising of each language of the tenant.
pub(crate) async fn search(tx: &mut TenantTx, text: &str) -> Result<Vec<Excerpt>, Error> {
    let rows = tx.query(SEARCH, &[&tx.tenant(), &text, &FETCHED, &PROMISING]).await?;
    Ok(rows.iter().map(excerpt).collect())
}

fn excerpt(row: &Row) -> Excerpt {
    let count = |column: &str| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
    Excerpt {
        document: KnowledgeDocumentId::from_uuid(row.get("document_id")),
        position: count("position"),
        language: row.get("language"),
        text: row.get("body"),
        asked: count("asked"),
        shared: count("shared"),
    }
}

fn document(row: &Row) -> KnowledgeDocument {
    let (version, indexed): (i64, i64) = (row.get("version"), row.get("indexed_version"));
    KnowledgeDocument {
        id: KnowledgeDocumentId::from_uuid(row.get("id")),
        title: row.get("title"),
        language: row.get("language"),
        tags: row.get("tags"),
        body: row.get("body_id"),
        bytes: row.get("bytes"),
        passages: row.get("passages"),
        is_indexed: indexed == version,
        version,
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}
