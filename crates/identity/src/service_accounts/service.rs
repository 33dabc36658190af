//! Room `identity`: making, changing and removing service accounts.

use misy_core::id::TypedId;
use misy_core::{Ctx, Cursor, Limit, Page, Permission, ServiceAccountId};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::model::{AccountChange, Error as AccountError, NewAccount, ServiceAccount};
use super::store;
use crate::api_keys::model::scope;
use crate::api_keys::service::book_for;
use crate::notices::model::{Effect, Kind};
use crate::roles::model::within;
use crate::{Deps, Error, notices};

/// One page of the tenant's accounts, disabled ones included.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<ServiceAccount>, Error> {
    ctx.require(Permission::ApiKeyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |account| account.id))
}

/// One account.
pub(super) async fn get(
    deps: &Deps,
    ctx: &Ctx,
    id: ServiceAccountId,
) -> Result<ServiceAccount, Error> {
    ctx.require(Permission::ApiKeyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(AccountError::NotFound)?)
}

/// Makes an account. It can do no more than whoever makes it.
pub(super) async fn create(
    deps: &Deps,
    ctx: &Ctx,
    new: NewAccount,
) -> Result<ServiceAccount, Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(ctx).await?;
    let book = book_for(&mut tx, new.role.as_deref()).await?;
    let scope = scope(new.role.as_deref(), new.permissions, ctx.grants(), &book)?;
    let effect = scope.effect_in(&book);
    let account = ServiceAccount {
        id: deps.ambient.id(),
        name: new.name,
        description: new.description,
        scope,
        grants: effect.grants(),
        disabled: false,
        created_by: ctx.actor().to_string(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store::insert(&mut tx, &account).await.map_err(taken)?;
    notices::store::save(&mut tx, account.id.uuid(), Kind::Account, &effect, false).await?;
    let detail = json!({"grants": account.grants});
    tx.audit(Audit::new("service_account.created", "service_account", account.id).with(detail));
    tx.commit().await?;
    Ok(account)
}

fn taken(error: misy_store::Error) -> Error {
    let taken = error.unique_violation().is_some_and(|name| name.contains("name"));
    if taken { AccountError::NameTaken.into() } else { error.into() }
}

/// Changes an account; its keys follow within a second. Whoever changes it has all that it may do.
pub(super) async fn update(
    deps: &Deps,
    ctx: &Ctx,
    id: ServiceAccountId,
    seen: &IfMatch,
    change: AccountChange,
) -> Result<ServiceAccount, Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let book = book_for(&mut tx, change.role.as_deref()).await?;
    store::lock(&mut tx, id).await?;
    let before = store::find(&mut tx, id).await?.ok_or(AccountError::NotFound)?;
    seen.check(before.version)?;
    within(ctx.grants(), before.grants)?;
    let mut after = before.clone();
    let rescopes = change.rescopes();
    after.name = change.name.unwrap_or(after.name);
    after.description = change.description.unwrap_or(after.description);
    after.disabled = change.disabled.unwrap_or(after.disabled);
    let mut effect: Option<Effect> = None;
    if rescopes {
        let asked = change.role.as_deref();
        after.scope = scope(asked, change.permissions, ctx.grants(), &book)?;
        effect = Some(after.scope.effect_in(&book));
    }
    let now = deps.ambient.now();
    (after.version, after.updated_at) = (before.version + 1, now);
    store::update(&mut tx, &after, now).await.map_err(taken)?;
    if let Some(effect) = effect {
        after.grants = effect.grants();
        let subject = id.uuid();
        notices::store::save(&mut tx, subject, Kind::Account, &effect, after.disabled).await?;
    } else if after.disabled != before.disabled {
        notices::store::disable(&mut tx, id, after.disabled).await?;
    }
    notices::store::raise_keys(&mut tx).await?;
    let detail = json!({"grants": after.grants, "disabled": after.disabled});
    tx.audit(Audit::new("service_account.updated", "service_account", id).with(detail));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(after)
}

/// Removes an account; its keys die with it.
pub(super) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: ServiceAccountId,
    seen: &IfMatch,
) -> Result<(), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    store::lock(&mut tx, id).await?;
    let account = store::find(&mut tx, id).await?.ok_or(AccountError::NotFound)?;
    seen.check(account.version)?;
    within(ctx.grants(), account.grants)?;
    store::delete(&mut tx, id).await?;
    notices::store::raise_keys(&mut tx).await?;
    tx.audit(Audit::new("service_account.deleted", "service_account", id));
    tx.commit().await?;
    deps.notices.renew().await?;
    Ok(())
}

/// What an account may do, for a key that is to belong to it. Whoever gets the key could do all of
/// it.
pub(crate) async fn lend(
    tx: &mut TenantTx,
    ctx: &Ctx,
    id: ServiceAccountId,
) -> Result<Effect, Error> {
    store::lock(tx, id).await?;
    let account = store::find(tx, id).await?.ok_or(AccountError::NotFound)?;
    within(ctx.grants(), account.grants)?;
    if account.disabled {
        return Err(AccountError::Disabled.into());
    }
    Ok(Effect { base: None, permissions: account.grants.iter().collect() })
}
