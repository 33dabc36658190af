//! Room `integration`: making, changing, checking and opening endpoints.

mod opened;
pub(crate) mod provision;
mod tokens;

use misy_core::crypto::{self, Place};
use misy_core::event::{EndpointData, EventType, envelope};
use misy_core::{Ctx, Cursor, EndpointId, EventId, Limit, Page, Permission, Timestamp};
use misy_store::{Audit, Limited, TenantTx};
use misy_web::IfMatch;
use serde_json::json;

use super::model::{
    Change, Endpoint, Error, LiveKey, OVERLAP_S, Secrets, Settings, Status, faults,
};
use super::store::{self, Stored};
use crate::Deps;
use crate::deliveries::service::{Sent, send_now};
use crate::signatures::SigningKey;
use crate::signatures::model::Scheme;

pub use opened::Opened;
pub(crate) use opened::{OpenEndpoint, find_open, open};
pub(crate) use tokens::millis;

const TABLE: &str = "webhook_endpoints";

/// Deliveries under way at once, if nothing else is said.
const IN_FLIGHT: i16 = 100;

fn place(ctx: &Ctx, id: EndpointId) -> Place<'static> {
    use misy_core::id::TypedId;
    Place { tenant: ctx.tenant(), table: TABLE, column: "sealed", row: id.uuid() }
}

async fn seal(
    deps: &Deps,
    tx: &mut TenantTx,
    id: EndpointId,
    secrets: &Secrets,
) -> Result<Vec<u8>, Error> {
    let key = deps.vault.current(tx).await?;
    let place = place(tx.ctx(), id);
    Ok(crypto::seal(&key.key, key.version, &place, deps.ambient.bytes(), &secrets.write()))
}

async fn unseal(
    deps: &Deps,
    tx: &mut TenantTx,
    id: EndpointId,
    sealed: &[u8],
) -> Result<Secrets, Error> {
    let version = crypto::sealed_version(sealed).ok_or(Error::Sealed)?;
    let key = deps.vault.of_version(tx, version).await?.ok_or(Error::Sealed)?;
    let place = place(tx.ctx(), id);
    let plain = crypto::open(&key.key, &place, sealed).map_err(|_| Error::Sealed)?;
    Secrets::read(&plain).ok_or(Error::Sealed)
}

/// What is shown of an endpoint's secrets, once.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// `whsec_..`.
    pub secret: SigningKey,
    /// By which `v1a` is checked, if it is sent.
    pub public_key: Option<misy_core::Secret>,
}

fn shown(endpoint: Endpoint, secrets: &Secrets) -> Result<Shown, Error> {
    let of = |symmetric: bool| {
        let is = |it: &&LiveKey| matches!(it.key, SigningKey::Symmetric(_)) == symmetric;
        secrets.keys.iter().find(is).map(|it| it.key.clone())
    };
    let public_key = of(false).map(|key| key.checked_by());
    Ok(Shown { endpoint, secret: of(true).ok_or(Error::Sealed)?, public_key })
}

fn new_keys(deps: &Deps, settings: &Settings) -> Vec<LiveKey> {
    let mut keys = vec![SigningKey::symmetric(deps.ambient.bytes())];
    if settings.signature == Scheme::V1a {
        keys.push(SigningKey::asymmetric(deps.ambient.bytes()));
    }
    keys.into_iter().map(|key| LiveKey { key, until: None }).collect()
}

fn check(deps: &Deps, ctx: &Ctx, endpoint: &Endpoint, secrets: &Secrets) -> Result<(), Error> {
    let mut faults = faults(endpoint, secrets);
    let mut say = |pointer: &str, detail: String| {
        faults.push(misy_core::error::Fault { pointer: pointer.to_owned(), detail });
    };
    let egress = deps.egress.of(ctx);
    let token_url = endpoint.settings.oauth.as_ref().map(|oauth| oauth.token_url.as_str());
    let targets = [("/url", Some(endpoint.url.as_str())), ("/settings/oauth/token_url", token_url)];
    for (pointer, target) in targets {
        if let Some(Ok(url)) = target.map(url::Url::parse)
            && let Err(error) = egress.check_target(&url, deps.config.private_hosts_allowed)
        {
            say(pointer, error.to_string());
        }
    }
    if let Err(error) = opened::way(deps, ctx, endpoint, secrets) {
        say("/client_certificate", error.to_string());
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Makes an endpoint. Its secret is shown here and never again.
pub(crate) async fn create(deps: &Deps, ctx: &Ctx, new: Change) -> Result<Shown, Error> {
    ctx.require(Permission::WebhookManage)?;
    let now = deps.ambient.now();
    let unverified = deps.config.ownership_checked;
    let blank = Endpoint {
        id: deps.ambient.id(),
        url: String::new(),
        description: String::new(),
        status: if unverified { Status::Unverified } else { Status::Enabled },
        disabled_reason: None,
        event_types: None,
        channels: None,
        conditions: Vec::new(),
        in_flight: IN_FLIGHT,
        fifo: false,
        settings: Settings::default(),
        failing_since: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let endpoint = new.apply(blank);
    let secrets = Secrets {
        keys: new_keys(deps, &endpoint.settings),
        headers: new.secret_headers.unwrap_or_default(),
        certificate: new.certificate.flatten(),
        oauth: new.oauth.flatten(),
    };
    check(deps, ctx, &endpoint, &secrets)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if let Some(ceiling) = deps.quotas.ceiling(&mut tx, Limited::WebhookEndpoints).await? {
        let count = store::count(&mut tx).await?;
        deps.quotas.admit(&mut tx, Limited::WebhookEndpoints, ceiling, count).await?;
    }
    let sealed = seal(deps, &mut tx, endpoint.id, &secrets).await?;
    let most = deps.config.endpoints_max;
    let made = store::insert(&mut tx, &endpoint, &sealed, most).await?;
    let made = made.ok_or(Error::TooMany(most))?;
    tx.audit(Audit::new("webhook_endpoint.created", "webhook_endpoint", made.id));
    tx.commit().await?;
    shown(made, &secrets)
}

/// A page of endpoints, oldest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Endpoint>, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(Page::cut(store::list(&mut tx, cursor, limit).await?, limit, |endpoint| endpoint.id))
}

/// One endpoint.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: EndpointId) -> Result<Endpoint, Error> {
    ctx.require(Permission::WebhookRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(Error::NotFound)?.endpoint)
}

/// Changes an endpoint, if the caller has seen the newest version or does not say.
pub(crate) async fn change(
    deps: &Deps,
    ctx: &Ctx,
    id: EndpointId,
    seen: &IfMatch,
    change: Change,
) -> Result<Endpoint, Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let Stored { endpoint, sealed } = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(endpoint.version).map_err(|_| Error::Stale)?;
    let mut secrets = unseal(deps, &mut tx, id, &sealed).await?;
    let proven = (endpoint.status == Status::Enabled).then(|| endpoint.url.clone());
    let mut endpoint = change.apply(endpoint);
    // Neither another address nor having been off takes the place of the challenge's answer.
    let switched_on = endpoint.status == Status::Enabled;
    if deps.config.ownership_checked && switched_on && proven.as_ref() != Some(&endpoint.url) {
        endpoint.status = Status::Unverified;
    }
    secrets.headers = change.secret_headers.unwrap_or(secrets.headers);
    secrets.certificate = change.certificate.unwrap_or(secrets.certificate);
    secrets.oauth = change.oauth.unwrap_or(secrets.oauth);
    let asymmetric = |it: &LiveKey| matches!(it.key, SigningKey::Asymmetric(_));
    if endpoint.settings.signature == Scheme::V1a && !secrets.keys.iter().any(asymmetric) {
        let key = SigningKey::asymmetric(deps.ambient.bytes());
        secrets.keys.push(LiveKey { key, until: None });
    }
    check(deps, ctx, &endpoint, &secrets)?;
    let sealed = seal(deps, &mut tx, id, &secrets).await?;
    let saved = store::update(&mut tx, &endpoint, &sealed).await?.ok_or(Error::Stale)?;
    tx.audit(Audit::new("webhook_endpoint.changed", "webhook_endpoint", id));
    tx.commit().await?;
    Ok(saved)
}

/// Removes an endpoint. What waits for it is discarded; its deliveries stay in the log.
pub(crate) async fn remove(deps: &Deps, ctx: &Ctx, id: EndpointId) -> Result<(), Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if !store::delete(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    tx.audit(Audit::new("webhook_endpoint.removed", "webhook_endpoint", id));
    Ok(tx.commit().await?)
}

/// Gives the endpoint a new secret; deliveries are signed with the old one as well until the
/// overlap is over. The asymmetric key, if there is one, is replaced in the same way.
pub(crate) async fn rotate(
    deps: &Deps,
    ctx: &Ctx,
    id: EndpointId,
    overlap_s: Option<u32>,
) -> Result<Shown, Error> {
    ctx.require(Permission::WebhookManage)?;
    let now = deps.ambient.now();
    let until = later_s(now, overlap_s.unwrap_or(OVERLAP_S));
    let mut tx = deps.db.tenant(ctx).await?;
    let Stored { endpoint, sealed } = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let mut secrets = unseal(deps, &mut tx, id, &sealed).await?;
    for new in new_keys(deps, &endpoint.settings).into_iter().rev() {
        secrets.rotate(new.key, now, until);
    }
    let sealed = seal(deps, &mut tx, id, &secrets).await?;
    let saved = store::update(&mut tx, &endpoint, &sealed).await?.ok_or(Error::Stale)?;
    let detail = json!({ "overlap_until": until });
    let rotated = Audit::new("webhook_endpoint.secret_rotated", "webhook_endpoint", id);
    tx.audit(rotated.with(detail));
    tx.commit().await?;
    shown(saved, &secrets)
}

pub(crate) fn later_s(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
}

/// Sends a test event now, past the queue; tells what came back.
pub(crate) async fn test(deps: &Deps, ctx: &Ctx, id: EndpointId) -> Result<Sent, Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.read(ctx).await?;
    let opened = open(deps, &mut tx, id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    let data = EndpointData { endpoint_id: id, reason: "test" };
    let payload = envelope(EventType::Test.slug(), deps.ambient.now(), &data);
    let event: EventId = deps.ambient.id();
    Ok(send_now(deps, ctx, &opened, event, EventType::Test.slug(), &payload).await)
}

/// Sends a challenge; an endpoint that gives it back is its owner's and is switched on.
pub(crate) async fn verify(deps: &Deps, ctx: &Ctx, id: EndpointId) -> Result<Endpoint, Error> {
    ctx.require(Permission::WebhookManage)?;
    let mut tx = deps.db.read(ctx).await?;
    let opened = open(deps, &mut tx, id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    let kind = "webhook_endpoint.challenge";
    let challenge = crypto::to_base64url(&deps.ambient.bytes::<24>());
    let payload = envelope(kind, deps.ambient.now(), &json!({ "challenge": challenge }));
    let sent = send_now(deps, ctx, &opened, deps.ambient.id(), kind, &payload).await;
    let answer = sent.response_body.as_deref().unwrap_or_default();
    if !sent.status.is_some_and(|status| (200..300).contains(&status)) {
        return Err(Error::Unanswered("it did not answer with a status of 2xx"));
    }
    if !answer.contains(&challenge) {
        return Err(Error::Unanswered("the answer does not hold `data.challenge`"));
    }
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(endpoint) = store::switch_on(&mut tx, id).await? else {
        drop(tx);
        return get(deps, ctx, id).await;
    };
    tx.audit(Audit::new("webhook_endpoint.verified", "webhook_endpoint", id));
    tx.commit().await?;
    Ok(endpoint)
}
