//! Room `conversation`: connecting, changing, checking and opening channel accounts.

use std::sync::Arc;

use misy_channel::account::Credentials;
use misy_channel::outbound::Failure;
use misy_channel::{Account, AccountDraft, Channel, Health};
use misy_core::error::Fault;
use misy_core::{ChannelId, Ctx, Cursor, Limit, Page, Permission, crypto};
use misy_store::{Audit, Limited, TenantTx};
use serde_json::{Map, Value, json};

use super::model::{self, Change, ChannelAccount, Error, NewAccount, Opened};
use super::store;
use crate::Deps;

/// Connects an account: checked by its channel, sealed, and routed to this tenant.
pub async fn connect(deps: &Deps, ctx: &Ctx, new: NewAccount) -> Result<ChannelAccount, Error> {
    ctx.require(Permission::ChannelManage)?;
    let channel = channel(deps, &new.kind)?;
    check(deps, channel.as_ref(), &new.external_id, &new.credentials, &new.settings)?;
    let id: ChannelId = deps.ambient.id();
    if channel.front().is_some() {
        check_site(deps, ctx, &new.external_id).await?;
    }
    let mut tx = deps.db.tenant(ctx).await?;
    if channel.front().is_none()
        && let Some(ceiling) = deps.quotas.ceiling(&mut tx, Limited::Channels).await?
    {
        let count = store::count(&mut tx, &fronts(deps)).await?;
        deps.quotas.admit(&mut tx, Limited::Channels, ceiling, count).await?;
    }
    let sealed = seal(deps, &mut tx, id, &new.credentials).await?;
    let account = store::insert(&mut tx, id, &new, &sealed).await.map_err(taken)?;
    let digest = digest(deps, &new.credentials);
    let routed =
        store::insert_route(&mut tx, id, &new.kind, &new.external_id, digest.as_deref()).await;
    routed.map_err(taken)?;
    let shared = channel.more_routes(&new.settings);
    store::insert_shared_routes(&mut tx, id, &new.kind, &shared).await?;
    tx.audit(Audit::new("channel.connected", "channel", id));
    tx.commit().await?;
    // A payload may have named it a moment before, when nobody had it.
    for external_id in shared.iter().chain([&new.external_id]) {
        deps.routes.forget(&new.kind, external_id);
    }
    Ok(account)
}

/// The channels that this program serves itself. They cost nobody anything, so no plan counts them.
pub(crate) fn fronts(deps: &Deps) -> Vec<&'static str> {
    let fronts = deps.channels.iter().filter(|channel| channel.front().is_some());
    fronts.map(|channel| channel.kind()).collect()
}

/// Pages are known by the site id of their own tenant, so that nobody can answer on another's.
async fn check_site(deps: &Deps, ctx: &Ctx, site_id: &str) -> Result<(), Error> {
    if deps.tenants.find_site(site_id).await? == Some(ctx.tenant()) {
        return Ok(());
    }
    let (pointer, detail) = ("/external_id", "expected the `site_id` of `GET /v1/tenant`");
    Err(Error::Invalid(vec![Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }]))
}

fn channel<'a>(deps: &'a Deps, kind: &str) -> Result<&'a Arc<dyn Channel>, Error> {
    deps.channels.find(kind).ok_or_else(|| {
        let known: Vec<_> = deps.channels.iter().map(|channel| channel.kind()).collect();
        let detail = format!("expected one of: {}", known.join(", "));
        Error::Invalid(vec![Fault { pointer: "/kind".to_owned(), detail }])
    })
}

fn check(
    deps: &Deps,
    channel: &dyn Channel,
    external_id: &str,
    credentials: &Credentials,
    settings: &Map<String, Value>,
) -> Result<(), Error> {
    let draft = AccountDraft {
        external_id: external_id.to_owned(),
        credentials: credentials.clone(),
        settings: settings.clone(),
        private_hosts_allowed: deps.config.private_hosts_allowed,
    };
    channel.check_draft(&draft).map_err(Error::Invalid)
}

fn digest(deps: &Deps, credentials: &Credentials) -> Option<Vec<u8>> {
    let token = credentials.find("verify_token")?;
    Some(model::handshake_digest(&deps.routing_key, token.expose()).to_vec())
}

fn taken(error: misy_store::Error) -> Error {
    if error.unique_violation().is_some() { Error::Taken } else { error.into() }
}

async fn seal(
    deps: &Deps,
    tx: &mut TenantTx,
    id: ChannelId,
    credentials: &Credentials,
) -> Result<Vec<u8>, Error> {
    let key = deps.vault.current(tx).await?;
    let tenant = tx.ctx().tenant();
    Ok(model::seal(&key.key, key.version, tenant, id, deps.ambient.bytes(), credentials))
}

async fn unseal(
    deps: &Deps,
    tx: &mut TenantTx,
    id: ChannelId,
    sealed: &[u8],
) -> Result<Credentials, Error> {
    // Given by the plan, with nothing to seal.
    if sealed.is_empty() {
        return Ok(Credentials::default());
    }
    let closed = || Error::Sealed(crypto::OpenError);
    let version = crypto::sealed_version(sealed).ok_or_else(closed)?;
    let key = deps.vault.of_version(tx, version).await?.ok_or_else(closed)?;
    model::open(&key.key, tx.ctx().tenant(), id, sealed).map_err(Error::Sealed)
}

/// One page of the tenant's accounts, oldest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    kind: Option<&str>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<ChannelAccount>, Error> {
    ctx.require(Permission::ChannelRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, kind, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |account| account.id))
}

/// One account.
pub async fn get(deps: &Deps, ctx: &Ctx, id: ChannelId) -> Result<ChannelAccount, Error> {
    ctx.require(Permission::ChannelRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(Error::NotFound)?.account)
}

/// Changes an account; the merged result is checked as a new one is.
pub async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: ChannelId,
    expected: impl Fn(i64) -> bool,
    change: Change,
) -> Result<ChannelAccount, Error> {
    ctx.require(Permission::ChannelManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if !expected(before.account.version) {
        return Err(Error::Stale);
    }
    let mut credentials = unseal(deps, &mut tx, id, &before.credentials).await?;
    credentials.0.extend(change.credentials.unwrap_or_default().0);
    let account = ChannelAccount {
        name: change.name.unwrap_or(before.account.name),
        settings: change.settings.unwrap_or(before.account.settings),
        status: change.status.unwrap_or(before.account.status),
        ..before.account
    };
    let channel = channel(deps, &account.kind)?;
    check(deps, channel.as_ref(), &account.external_id, &credentials, &account.settings)?;
    let sealed = seal(deps, &mut tx, id, &credentials).await?;
    let saved = store::update(&mut tx, &account, &sealed).await?.ok_or(Error::Stale)?;
    store::set_route_digest(&mut tx, &saved, digest(deps, &credentials).as_deref()).await?;
    tx.audit(Audit::new("channel.changed", "channel", id));
    tx.commit().await?;
    deps.accounts.forget(ctx.tenant(), id);
    Ok(saved)
}

/// Disconnects an account: its credentials and routes are gone, its messages stay.
pub async fn disconnect(deps: &Deps, ctx: &Ctx, id: ChannelId) -> Result<(), Error> {
    ctx.require(Permission::ChannelManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    tx.audit(Audit::new("channel.disconnected", "channel", id));
    tx.commit().await?;
    deps.accounts.forget(ctx.tenant(), id);
    Ok(())
}

/// Asks the provider whether the account works.
pub async fn check_health(deps: &Deps, ctx: &Ctx, id: ChannelId) -> Result<Health, Error> {
    ctx.require(Permission::ChannelRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let opened = open_account(deps, &mut tx, id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    let channel = channel(deps, &opened.kind)?;
    let health = channel.check_health(&deps.egress.of(ctx), &opened.account).await;
    Ok(health.unwrap_or_else(|error| Health {
        ok: false,
        display_name: None,
        address: None,
        detail: Some(format!("{} ({})", error.failure.detail, error.failure.code)),
    }))
}

/// The account with its secrets, for the moment of a call. Its right is the caller's to check.
pub(crate) async fn open_account(
    deps: &Deps,
    tx: &mut TenantTx,
    id: ChannelId,
) -> Result<Option<Arc<Opened>>, Error> {
    let tenant = tx.ctx().tenant();
    if let Some(opened) = deps.accounts.find(tenant, id) {
        return Ok(Some(opened));
    }
    let Some(found) = store::find(tx, id).await? else { return Ok(None) };
    let credentials = unseal(deps, tx, id, &found.credentials).await?;
    let ChannelAccount { kind, status, external_id, settings, .. } = found.account;
    let account = Arc::new(Account { id, tenant, external_id, credentials, settings });
    let opened = Arc::new(Opened { kind, status, account });
    deps.accounts.keep(&opened);
    Ok(Some(opened))
}

/// The kind of an account that is or was connected.
pub(crate) async fn find_kind(
    deps: &Deps,
    tx: &mut TenantTx,
    id: ChannelId,
) -> Result<Option<String>, Error> {
    match deps.accounts.find(tx.ctx().tenant(), id) {
        Some(opened) => Ok(Some(opened.kind.clone())),
        None => Ok(store::find_kind(tx, id).await?),
    }
}

/// The account as its adapter takes it.
pub(crate) async fn open(
    deps: &Deps,
    tx: &mut TenantTx,
    id: ChannelId,
) -> Result<Arc<Account>, Error> {
    let opened = open_account(deps, tx, id).await?.ok_or(Error::NotFound)?;
    Ok(Arc::clone(&opened.account))
}

/// Notes that the provider refuses the account.
pub(crate) fn mark_unhealthy(tx: &mut TenantTx, id: ChannelId, failure: &Failure) {
    let detail = json!({ "kind": failure.kind, "code": failure.code });
    tx.audit(Audit::new("channel.unhealthy", "channel", id).with(detail));
    metrics::counter!("misy_channel_refusals_total").increment(1);
}

/// How many accounts work: something whose sender was verified has come in over each. In one round
/// trip.
pub async fn count_working(deps: &Deps, ctx: &Ctx) -> Result<i64, misy_store::Error> {
    store::count_working(&mut deps.db.read(ctx).await?).await
}
