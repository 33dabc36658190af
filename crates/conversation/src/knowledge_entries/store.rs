//! Room `conversation`: rows of `knowledge_entries`.

use misy_core::id::TypedId;
use misy_core::{Cursor, KnowledgeEntryId, Limit};
use misy_store::{Error, Row, TenantTx, ToSql};

use super::model::{Filter, KnowledgeEntry, NewEntry};

const INSERT: &str = "
    insert into knowledge_entries
        (tenant_id, id, question, answer, language, tags, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $7) returning *";

/// A tenant that has any entry has begun already.
const INSERT_STARTER: &str = "
    insert into knowledge_entries
        (tenant_id, id, question, answer, language, tags, created_at, updated_at)
    select $1, id, question, answer, language, '{starter}', $6, $6
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
        as new (id, question, answer, language)
    where not exists (select from knowledge_entries where tenant_id = $1)";

const FIND: &str = "select * from knowledge_entries where tenant_id = $1 and id = $2";

/// All stems of the search occur, or the search itself as it was typed.
const LIST: &str = "
    select * from knowledge_entries as entry
    where tenant_id = $1 and id < $2
        and ($3::text is null or language = $3) and ($4::text is null or $4 = any(tags))
        and ($5::text is null or (question_words || answer_words) @@
            plainto_tsquery(misy_text_config(language), $5)
            or position(upper($5) in upper(question || ' ' || answer)) > 0)
    order by id desc limit $6";

const UPDATE: &str = "
    update knowledge_entries set question = $4, answer = $5, language = $6, tags = $7,
        version = version + 1, updated_at = $8
    where tenant_id = $1 and id = $2 and version = $3 returning *";

const DELETE: &str = "delete from knowledge_entries where tenant_id = $1 and id = $2";

pub(crate) async fn insert(tx: &mut TenantTx, new: &NewEntry) -> Result<KnowledgeEntry, Error> {
    let (id, now) = (tx.ambient().uuid(), tx.ambient().now());
    let params: [&(dyn ToSql + Sync); 7] =
        [&tx.tenant(), &id, &new.question, &new.answer, &new.language, &new.tags, &now];
    let row = tx.query_opt(INSERT, &params).await?;
    row.as_ref().map(entry).ok_or(Error::Aborted)
}

/// Writes what a tenant begins with, unless it has begun; says how many entries were written.
pub(super) async fn insert_starter(tx: &mut TenantTx, new: &[NewEntry]) -> Result<u64, Error> {
    let ids: Vec<_> = new.iter().map(|_| tx.ambient().uuid()).collect();
    let column = |pick: fn(&NewEntry) -> &str| new.iter().map(pick).collect::<Vec<_>>();
    let questions = column(|one| &one.question);
    let (answers, languages) = (column(|one| &one.answer), column(|one| &one.language));
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(INSERT_STARTER, &[&tenant, &ids, &questions, &answers, &languages, &now]).await
}

pub(crate) async fn find(
    tx: &mut TenantTx,
    id: KnowledgeEntryId,
) -> Result<Option<KnowledgeEntry>, Error> {
    Ok(tx.query_opt(FIND, &[&tx.tenant(), &id.uuid()]).await?.as_ref().map(entry))
}

/// Newest first.
pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<KnowledgeEntry>, Error> {
    let params: [&(dyn ToSql + Sync); 6] = [
        &tx.tenant(),
        &Cursor::before(cursor),
        &filter.language,
        &filter.tag,
        &filter.text,
        &limit.fetch(),
    ];
    Ok(tx.query(LIST, &params).await?.iter().map(entry).collect())
}

/// Writes a changed entry if nobody else has changed it meanwhile.
pub(crate) async fn update(
    tx: &mut TenantTx,
    before: &KnowledgeEntry,
    new: &NewEntry,
) -> Result<Option<KnowledgeEntry>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let params: [&(dyn ToSql + Sync); 8] = [
        &tenant,
        &before.id.uuid(),
        &before.version,
        &new.question,
        &new.answer,
        &new.language,
        &new.tags,
        &now,
    ];
    Ok(tx.query_opt(UPDATE, &params).await?.as_ref().map(entry))
}

/// Whether there was one.
pub(crate) async fn delete(tx: &mut TenantTx, id: KnowledgeEntryId) -> Result<bool, Error> {
    Ok(tx.execute(DELETE, &[&tx.tenant(), &id.uuid()]).await? > 0)
}

fn entry(row: &Row) -> KnowledgeEntry {
    KnowledgeEntry {
        id: KnowledgeEntryId::from_uuid(row.get("id")),
        question: row.get("question"),
        answer: row.get("answer"),
        language: row.get("language"),
        tags: row.get("tags"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

const COUNT: &str = "select count(*) from knowledge_entries where tenant_id = $1";

/// How many entries the tenant has.
pub(crate) async fn count(tx: &mut TenantTx) -> Result<i64, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(COUNT, &[&tenant]).await?.map_or(0, |row| row.get(0)))
}
