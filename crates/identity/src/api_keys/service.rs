//! Room `identity`: making, rotating, revoking and checking API keys.

use std::time::Duration;

use misy_core::access::{Kind as Thing, Resource};
use misy_core::id::TypedId;
use misy_core::{
    ApiKeyId, Ctx, Cursor, Limit, Page, Permission, Secret, ServiceAccountId, Timestamp, crypto,
};
use misy_store::{Audit, TenantTx};
use moka::sync::Cache;
use serde_json::json;

use super::model::{self, ApiKey, Error as KeyError, Mode, Route, Scope};
use super::store;
use crate::notices::model::{Effect, Kind};
use crate::roles::model::{RoleBook, within};
use crate::{Deps, Error, notices, roles, service_accounts};

/// A look-up is believed this long, if no notice says before that keys of the tenant changed.
const BELIEVED_FOR: Duration = Duration::from_mins(10);
const KNOWN_MAX: u64 = 50_000;

/// Keys that were looked up before, by the hash of their secret.
pub struct KnownKeys(Cache<[u8; 32], Route>);

impl KnownKeys {
    /// Knows none yet.
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(KNOWN_MAX).time_to_live(BELIEVED_FOR).build())
    }
}

impl Default for KnownKeys {
    fn default() -> Self {
        Self::new()
    }
}

/// Whose key this is, if it is one that is good now.
pub(crate) async fn find_route(deps: &Deps, text: &Secret) -> Result<Option<Route>, Error> {
    let Some(shown) = model::read(text) else { return Ok(None) };
    let now = deps.ambient.now();
    if let Some(route) = deps.known_keys.0.get(&shown.hash).filter(|it| it.opens(&shown, now))
        && deps.notices.keys(route.tenant).await? <= route.changes
    {
        return Ok(Some(route));
    }
    let mut tx = deps.db.platform_read(&deps.system).await?;
    let found = store::find_route(&mut tx, shown.id).await?;
    let route = found.filter(|route| route.opens(&shown, now));
    if let Some(route) = &route {
        deps.known_keys.0.insert(shown.hash, route.clone());
    }
    Ok(route)
}

/// A key to be made.
pub(super) struct NewKey {
    pub(super) name: String,
    pub(super) mode: Mode,
    /// The slug of a role.
    pub(super) role: Option<String>,
    pub(super) permissions: Option<Vec<Permission>>,
    pub(super) account: Option<ServiceAccountId>,
    pub(super) expires_at: Option<Timestamp>,
}

/// The tenant's own roles, if the one that is named is not built in.
pub(crate) async fn book_for(tx: &mut TenantTx, role: Option<&str>) -> Result<RoleBook, Error> {
    if role.is_none_or(|slug| slug.parse::<misy_core::Role>().is_ok()) {
        return Ok(RoleBook::default());
    }
    roles::store::lock(tx).await?;
    Ok(roles::store::book(tx).await?)
}

/// Makes a key; its text is given here and kept nowhere.
pub(super) async fn create(deps: &Deps, ctx: &Ctx, new: NewKey) -> Result<(ApiKey, Secret), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(ctx).await?;
    let book = book_for(&mut tx, new.role.as_deref()).await?;
    let account = match new.account {
        Some(id) => Some(service_accounts::service::lend(&mut tx, ctx, id).await?),
        None => None,
    };
    let whole = new.role.is_none() && new.permissions.is_none() && account.is_some();
    let scope = if whole {
        Scope::Account
    } else {
        model::scope(new.role.as_deref(), new.permissions, ctx.grants(), &book)?
    };
    model::check_expiry(new.expires_at, now)?;
    let own = match &scope {
        Scope::Own(slug) => book.effect(slug),
        _ => Effect::default(),
    };
    let key = ApiKey {
        id: deps.ambient.id(),
        name: new.name,
        mode: new.mode,
        grants: model::bearer_grants(new.mode, &scope, &own, account.as_ref()),
        scope,
        account: new.account,
        revoked: false,
        created_by: ctx.actor().to_string(),
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        overlap_until: None,
        version: 1,
    };
    let secret = deps.ambient.bytes::<32>();
    store::insert(&mut tx, &key, &crypto::sha256(&secret)).await?;
    if let Scope::Own(_) = key.scope {
        notices::store::save(&mut tx, key.id.uuid(), Kind::Key, &own, false).await?;
    }
    let detail = json!({"grants": key.grants, "service_account_id": key.account});
    tx.audit(Audit::new("api_key.created", "api_key", key.id).with(detail));
    tx.commit().await?;
    let text = model::text_of(key.mode, key.id, secret);
    Ok((key, text))
}

/// One page of the tenant's keys, revoked ones included.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<ApiKey>, Error> {
    ctx.require(Permission::ApiKeyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |key| key.id))
}

/// One key.
pub(super) async fn get(deps: &Deps, ctx: &Ctx, id: ApiKeyId) -> Result<ApiKey, Error> {
    ctx.require(Permission::ApiKeyRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(KeyError::NotFound)?)
}

/// The key as policies see it.
fn about(key: &ApiKey) -> Resource {
    Resource::new(Thing::ApiKey, key.id)
}

/// Gives a key another secret; the old one works for so many seconds more, and with 0 dies within a
/// second. Whoever rotates learns the secret, so it takes the rights that making the key would
/// take.
pub(super) async fn rotate(
    deps: &Deps,
    ctx: &Ctx,
    id: ApiKeyId,
    overlap_s: u32,
) -> Result<(ApiKey, Secret), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let key = store::find(&mut tx, id).await?.ok_or(KeyError::NotFound)?;
    deps.policies.require(ctx, Permission::ApiKeyManage, &about(&key)).await?;
    within(ctx.grants(), key.grants)?;
    if key.revoked {
        return Err(KeyError::Revoked.into());
    }
    let secret = deps.ambient.bytes::<32>();
    let now = deps.ambient.now();
    let until = Timestamp::from_second(now.as_second() + i64::from(overlap_s)).ok();
    let overlap_until = until.filter(|_| overlap_s > 0);
    store::rotate(&mut tx, id, &crypto::sha256(&secret), now, overlap_until).await?;
    notices::store::raise_keys(&mut tx).await?;
    let detail = json!({"overlap_s": overlap_s});
    tx.audit(Audit::new("api_key.rotated", "api_key", id).with(detail));
    tx.commit().await?;
    deps.notices.renew().await?;
    let key = ApiKey { version: key.version + 1, overlap_until, ..key };
    let text = model::text_of(key.mode, id, secret);
    Ok((key, text))
}

/// Revokes a key, for good.
pub(super) async fn revoke(deps: &Deps, ctx: &Ctx, id: ApiKeyId) -> Result<(), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let key = store::find(&mut tx, id).await?.ok_or(KeyError::NotFound)?;
    deps.policies.require(ctx, Permission::ApiKeyManage, &about(&key)).await?;
    if !key.revoked {
        store::revoke(&mut tx, id, deps.ambient.now()).await?;
        notices::store::delete(&mut tx, id.uuid()).await?;
        notices::store::raise_keys(&mut tx).await?;
        tx.audit(Audit::new("api_key.revoked", "api_key", id));
        tx.commit().await?;
    }
    deps.notices.renew().await?;
    Ok(())
}
