//! Room `conversation`: keeping knowledge entries.

mod provision;

use misy_core::{Ctx, Cursor, KnowledgeEntryId, Limit, Page, Permission};
use misy_store::Audit;
use misy_web::IfMatch;
use serde_json::json;

use super::model::{Change, Error, Filter, KnowledgeEntry, NewEntry};
use super::store;
use crate::Deps;

pub use provision::{Provisioner, TABLES};

/// Makes an entry.
pub async fn create(deps: &Deps, ctx: &Ctx, new: NewEntry) -> Result<KnowledgeEntry, Error> {
    ctx.require(Permission::KnowledgeManage)?;
    let new = valid(new)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let entry = store::insert(&mut tx, &new).await?;
    let detail = json!({ "language": entry.language });
    tx.audit(Audit::new("knowledge_entry.created", "knowledge_entry", entry.id).with(detail));
    tx.commit().await?;
    Ok(entry)
}

fn valid(new: NewEntry) -> Result<NewEntry, Error> {
    let new = new.normalised();
    let faults = new.faults();
    if faults.is_empty() { Ok(new) } else { Err(Error::Invalid(faults)) }
}

/// A page of entries, newest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<KnowledgeEntry>, Error> {
    ctx.require(Permission::KnowledgeRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, filter, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |entry| entry.id))
}

/// One entry.
pub async fn get(deps: &Deps, ctx: &Ctx, id: KnowledgeEntryId) -> Result<KnowledgeEntry, Error> {
    ctx.require(Permission::KnowledgeRead)?;
    let mut tx = deps.db.read(ctx).await?;
    store::find(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// Changes an entry, if the caller has seen its newest version or does not say.
pub async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: KnowledgeEntryId,
    seen: &IfMatch,
    change: Change,
) -> Result<KnowledgeEntry, Error> {
    ctx.require(Permission::KnowledgeManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(before.version).map_err(|_| Error::Stale)?;
    let new = valid(change.apply(&before))?;
    let after = store::update(&mut tx, &before, &new).await?.ok_or(Error::Stale)?;
    tx.audit(Audit::new("knowledge_entry.updated", "knowledge_entry", id));
    tx.commit().await?;
    Ok(after)
}

/// Removes an entry; answers that were taken from it stay.
pub async fn delete(deps: &Deps, ctx: &Ctx, id: KnowledgeEntryId) -> Result<(), Error> {
    ctx.require(Permission::KnowledgeManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    tx.audit(Audit::new("knowledge_entry.deleted", "knowledge_entry", id));
    tx.commit().await?;
    Ok(())
}

/// How many entries there are, in one round trip.
pub async fn count(deps: &Deps, ctx: &Ctx) -> Result<i64, misy_store::Error> {
    store::count(&mut deps.db.read(ctx).await?).await
}
