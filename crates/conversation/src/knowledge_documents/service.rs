//! Room `conversation`: keeping knowledge documents and their passages.
//!
//! A text is written before the row that names it and removed after the row that named it: whatever
//! interrupts this, a row has its text. What a crash can leave is a text that nothing names.

use misy_core::{Ctx, Cursor, KnowledgeDocumentId, Limit, Page, Permission};
use misy_jobs::Job;
use misy_store::{Audit, Limited, TenantTx};
use misy_web::IfMatch;
use serde_json::json;
use uuid::Uuid;

use super::jobs::Index;
use super::model::{self, Body, Change, Error, Filter, KnowledgeDocument, NewDocument};
use super::store;
use crate::Deps;

/// Makes a document. Its passages follow by a job.
pub async fn create(deps: &Deps, ctx: &Ctx, new: NewDocument) -> Result<KnowledgeDocument, Error> {
    ctx.require(Permission::KnowledgeManage)?;
    let new = valid(new)?;
    let body = deps.ambient.uuid();
    store::put_body(&deps.documents, ctx, body, &new.body()).await?;
    let writing = async {
        let mut tx = deps.db.tenant(ctx).await?;
        let made = store::insert(&mut tx, &new, body).await?;
        count_bytes(deps, &mut tx, 0, made.bytes).await?;
        let detail = json!({ "language": made.language, "bytes": made.bytes });
        let done = Audit::new("knowledge_document.created", "knowledge_document", made.id);
        tx.audit(done.with(detail));
        Index { document: made.id, replaced: None }.enqueue(&mut tx);
        tx.commit().await?;
        Ok(made)
    };
    let written = writing.await;
    unless_written(deps, ctx, body, &written).await;
    written
}

/// Counts what a text takes now against what it took before.
async fn count_bytes(deps: &Deps, tx: &mut TenantTx, before: i32, now: i32) -> Result<(), Error> {
    let more = i64::from(now) - i64::from(before);
    let bytes = u32::try_from(more.unsigned_abs()).unwrap_or(u32::MAX);
    match more {
        0 => {}
        1.. => deps.quotas.take(tx, Limited::StorageBytes, bytes).await?,
        _ => deps.quotas.give_back(tx, Limited::StorageBytes, bytes).await?,
    }
    Ok(())
}

/// Removes a text whose row was not written. Should that fail too, the text takes room and nothing
/// else.
async fn unless_written<T>(deps: &Deps, ctx: &Ctx, body: Uuid, written: &Result<T, Error>) {
    if written.is_ok() {
        return;
    }
    if let Err(error) = store::delete_body(&deps.documents, ctx, body).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, %body, "a text that nothing names was left");
    }
}

fn valid(new: NewDocument) -> Result<NewDocument, Error> {
    let new = new.normalised();
    let faults = new.faults();
    if faults.is_empty() { Ok(new) } else { Err(Error::Invalid(faults)) }
}

/// A page of documents without their texts, newest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<KnowledgeDocument>, Error> {
    ctx.require(Permission::KnowledgeRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, filter, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |document| document.id))
}

/// One document with its text.
pub async fn get(
    deps: &Deps,
    ctx: &Ctx,
    id: KnowledgeDocumentId,
) -> Result<(KnowledgeDocument, String), Error> {
    ctx.require(Permission::KnowledgeRead)?;
    let (document, body) = load(deps, ctx, id).await?;
    Ok((document, body.text))
}

/// The row, then the text that it names. Between the two a change may have replaced the text; the
/// row then names another.
async fn load(
    deps: &Deps,
    ctx: &Ctx,
    id: KnowledgeDocumentId,
) -> Result<(KnowledgeDocument, Body), Error> {
    let mut missed = None;
    loop {
        let found = store::find(&mut deps.db.read(ctx).await?, id).await?;
        let document = found.ok_or(Error::NotFound)?;
        if missed == Some(document.body) {
            return Err(Error::Lost);
        }
        match store::find_body(&deps.documents, ctx, document.body).await? {
            Some(body) => return Ok((document, body)),
            None => missed = Some(document.body),
        }
    }
}

/// Changes a document, if the caller has seen its newest version or does not say.
pub async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: KnowledgeDocumentId,
    seen: &IfMatch,
    change: Change,
) -> Result<KnowledgeDocument, Error> {
    ctx.require(Permission::KnowledgeManage)?;
    let (before, text) = load(deps, ctx, id).await?;
    seen.check(before.version).map_err(|_| Error::Stale)?;
    let new = valid(change.apply(&before, text.text))?;
    let body = deps.ambient.uuid();
    store::put_body(&deps.documents, ctx, body, &new.body()).await?;
    let writing = async {
        let mut tx = deps.db.tenant(ctx).await?;
        let after = store::update(&mut tx, &before, &new, body).await?.ok_or(Error::Stale)?;
        count_bytes(deps, &mut tx, before.bytes, after.bytes).await?;
        tx.audit(Audit::new("knowledge_document.updated", "knowledge_document", id));
        Index { document: id, replaced: Some(before.body) }.enqueue(&mut tx);
        tx.commit().await?;
        Ok(after)
    };
    let written = writing.await;
    unless_written(deps, ctx, body, &written).await;
    written
}

/// Removes a document. It is cited no more from the commit on; its text goes by a job, and answers
/// that were taken from it stay.
pub async fn delete(deps: &Deps, ctx: &Ctx, id: KnowledgeDocumentId) -> Result<(), Error> {
    ctx.require(Permission::KnowledgeManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let (body, bytes) = store::delete(&mut tx, id).await?.ok_or(Error::NotFound)?;
    count_bytes(deps, &mut tx, bytes, 0).await?;
    tx.audit(Audit::new("knowledge_document.deleted", "knowledge_document", id));
    Index { document: id, replaced: Some(body) }.enqueue(&mut tx);
    tx.commit().await?;
    Ok(())
}

/// Makes the passages of a document's present version, if they are not made yet, then removes the
/// text that was replaced. May run again at any point.
pub(crate) async fn index(
    deps: &Deps,
    ctx: &Ctx,
    id: KnowledgeDocumentId,
    replaced: Option<Uuid>,
) -> Result<(), Error> {
    match load(deps, ctx, id).await {
        Ok((document, _)) if document.is_indexed => {}
        Ok((document, body)) => {
            let passages = model::cut(&document.title, &body.text);
            let mut tx = deps.db.tenant(ctx).await?;
            // A change that came meanwhile has enqueued a run of its own.
            if store::mark_indexed(&mut tx, &document, passages.len()).await? {
                store::replace_passages(&mut tx, &document, &passages).await?;
                tx.commit().await?;
            }
        }
        Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    if let Some(body) = replaced {
        store::delete_body(&deps.documents, ctx, body).await?;
    }
    Ok(())
}
