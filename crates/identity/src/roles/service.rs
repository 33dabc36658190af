//! Room `identity`: reading, making and changing roles. A change reaches every bearer in the same
//! transaction and every process within a second.

use misy_core::{Ctx, Cursor, Limit, Page, Permission, RoleId};
use misy_store::Audit;
use misy_web::IfMatch;
use serde_json::json;

use super::model::{self, Error as RoleError, NewRole, OWN_MAX, RoleBook, RoleChange, TenantRole};
use super::{model::within, store};
use crate::{Deps, Error, notices};

/// One page of the tenant's roles, and all of them, to be asked what each comes to.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<(Page<TenantRole>, RoleBook), Error> {
    ctx.require(Permission::RoleRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    let book = store::book(&mut tx).await?;
    Ok((Page::cut(rows, limit, |role| role.id), book))
}

fn get_from(book: &RoleBook, id: RoleId) -> Result<TenantRole, RoleError> {
    book.find_by_id(id).cloned().ok_or(RoleError::NotFound)
}

/// One role.
pub(super) async fn get(
    deps: &Deps,
    ctx: &Ctx,
    id: RoleId,
) -> Result<(TenantRole, RoleBook), Error> {
    ctx.require(Permission::RoleRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let book = store::book(&mut tx).await?;
    Ok((get_from(&book, id)?, book))
}

/// Makes a role, which grants no more than its maker has.
pub(super) async fn create(
    deps: &Deps,
    ctx: &Ctx,
    new: NewRole,
) -> Result<(TenantRole, RoleBook), Error> {
    ctx.require(Permission::RoleManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    store::lock(&mut tx).await?;
    let book = store::book(&mut tx).await?;
    if book.count_own() >= OWN_MAX {
        return Err(RoleError::TooMany.into());
    }
    let role = model::make(deps.ambient.id(), new)?;
    if book.find(&role.slug).is_some() {
        return Err(RoleError::SlugTaken.into());
    }
    book.check(&role)?;
    let book = book.with(role.clone());
    within(ctx.grants(), book.grants(&role.slug))?;
    store::insert(&mut tx, &role).await?;
    let detail = json!({"slug": role.slug, "inherits": role.parent, "permissions": role.own});
    tx.audit(Audit::new("role.created", "role", role.id).with(detail));
    tx.commit().await?;
    Ok((role, book))
}

/// Changes a role. Whoever does must have all that it grants before and after.
pub(super) async fn update(
    deps: &Deps,
    ctx: &Ctx,
    id: RoleId,
    seen: &IfMatch,
    change: RoleChange,
) -> Result<(TenantRole, RoleBook), Error> {
    ctx.require(Permission::RoleManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    store::lock(&mut tx).await?;
    let book = store::book(&mut tx).await?;
    let before = get_from(&book, id)?;
    seen.check(before.version)?;
    let mut after = model::change(&before, change)?;
    book.check(&after)?;
    within(ctx.grants(), book.grants(&before.slug))?;
    let book = book.with(after.clone());
    let affected = book.affected(&after.slug);
    for (_, effect) in &affected {
        within(ctx.grants(), effect.grants())?;
    }
    after.version =
        store::update(&mut tx, &after, deps.ambient.now()).await?.ok_or(RoleError::NotFound)?;
    let bearers = notices::store::spread(&mut tx, &affected).await?;
    notices::store::raise_keys(&mut tx).await?;
    let detail = json!({"inherits": after.parent, "permissions": after.own, "bearers": bearers});
    tx.audit(Audit::new("role.updated", "role", id).with(detail));
    tx.commit().await?;
    deps.notices.renew().await?;
    let book = book.with(after.clone());
    Ok((after, book))
}

/// Removes a role that nobody has.
pub(super) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: RoleId,
    seen: &IfMatch,
) -> Result<(), Error> {
    ctx.require(Permission::RoleManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    store::lock(&mut tx).await?;
    let book = store::book(&mut tx).await?;
    let role = get_from(&book, id)?;
    seen.check(role.version)?;
    if role.built_in {
        return Err(RoleError::BuiltIn.into());
    }
    within(ctx.grants(), book.grants(&role.slug))?;
    store::delete(&mut tx, &role.slug).await.map_err(in_use)?;
    tx.audit(Audit::new("role.deleted", "role", id).with(json!({"slug": role.slug})));
    tx.commit().await?;
    Ok(())
}

fn in_use(error: misy_store::Error) -> Error {
    if error.foreign_key_violation().is_some() { RoleError::InUse.into() } else { error.into() }
}
