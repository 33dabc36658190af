//! Room `identity`: making, rotating, revoking and checking API keys.

use std::time::Duration;

use misy_core::{ApiKeyId, Ctx, Cursor, Limit, Page, Permission, Role, Secret, Timestamp, crypto};
use misy_store::Audit;
use moka::sync::Cache;
use serde_json::json;

use super::model::{self, ApiKey, Error as KeyError, Route};
use super::store;
use crate::roles::model::within;
use crate::{Deps, Error};

/// A look-up is believed this long, so a revoked key dies everywhere within a second.
const BELIEVED_FOR: Duration = Duration::from_millis(900);
const KNOWN_MAX: u64 = 50_000;

/// Keys that were looked up a moment ago, by the hash of their secret.
pub struct KnownKeys(Cache<[u8; 32], Route>);

impl KnownKeys {
    /// Knows none yet.
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(KNOWN_MAX).time_to_live(BELIEVED_FOR).build())
    }

    fn forget(&self, key: ApiKeyId) {
        for (hash, route) in &self.0 {
            if route.key == key {
                self.0.invalidate(hash.as_ref());
            }
        }
    }
}

impl Default for KnownKeys {
    fn default() -> Self {
        Self::new()
    }
}

/// Whose key this is, if it is one that is good now.
pub(crate) async fn find_route(deps: &Deps, text: &Secret) -> Result<Option<Route>, Error> {
    let Some((key, hash)) = model::read(text) else { return Ok(None) };
    if let Some(route) = deps.known_keys.0.get(&hash).filter(|route| route.key == key) {
        return Ok(Some(route));
    }
    let mut tx = deps.db.platform_read(&deps.system).await?;
    let found = store::find_route(&mut tx, key).await?;
    let route = found.filter(|route| crypto::equal(&route.secret_hash, &hash));
    if let Some(route) = &route {
        deps.known_keys.0.insert(hash, route.clone());
    }
    Ok(route)
}

/// A key to be made.
pub(super) struct NewKey {
    pub(super) name: String,
    pub(super) role: Option<Role>,
    pub(super) permissions: Option<Vec<Permission>>,
    pub(super) expires_at: Option<Timestamp>,
}

/// Makes a key; its text is given here and kept nowhere.
pub(super) async fn create(deps: &Deps, ctx: &Ctx, new: NewKey) -> Result<(ApiKey, Secret), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let now = deps.ambient.now();
    let scope = model::scope(new.role, new.permissions, ctx.grants())?;
    model::check_expiry(new.expires_at, now)?;
    let key = ApiKey {
        id: deps.ambient.id(),
        name: new.name,
        scope,
        revoked: false,
        created_by: ctx.actor().to_string(),
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        version: 1,
    };
    let secret = deps.ambient.bytes::<32>();
    let mut tx = deps.db.tenant(ctx).await?;
    store::insert(&mut tx, &key, &crypto::sha256(&secret)).await?;
    let detail = json!({"grants": key.scope.grants()});
    tx.audit(Audit::new("api_key.created", "api_key", key.id).with(detail));
    tx.commit().await?;
    let text = model::text_of(key.id, secret);
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

/// Gives a key another secret; the old one dies within a second. Whoever rotates learns the secret,
/// so it takes the rights that making the key would take.
pub(super) async fn rotate(
    deps: &Deps,
    ctx: &Ctx,
    id: ApiKeyId,
) -> Result<(ApiKey, Secret), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let key = store::find(&mut tx, id).await?.ok_or(KeyError::NotFound)?;
    within(ctx.grants(), key.scope.grants())?;
    if key.revoked {
        return Err(KeyError::Revoked.into());
    }
    let secret = deps.ambient.bytes::<32>();
    store::rotate(&mut tx, id, &crypto::sha256(&secret), deps.ambient.now()).await?;
    tx.audit(Audit::new("api_key.rotated", "api_key", id));
    tx.commit().await?;
    deps.known_keys.forget(id);
    let key = ApiKey { version: key.version + 1, ..key };
    Ok((key, model::text_of(id, secret)))
}

/// Revokes a key, for good.
pub(super) async fn revoke(deps: &Deps, ctx: &Ctx, id: ApiKeyId) -> Result<(), Error> {
    ctx.require(Permission::ApiKeyManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let key = store::find(&mut tx, id).await?.ok_or(KeyError::NotFound)?;
    if !key.revoked {
        store::revoke(&mut tx, id, deps.ambient.now()).await?;
        tx.audit(Audit::new("api_key.revoked", "api_key", id));
        tx.commit().await?;
    }
    deps.known_keys.forget(id);
    Ok(())
}
