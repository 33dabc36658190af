//! Room `integration`: endpoints made ready to be delivered to. Opening one costs a read, a key
//! and some parsing, so those in use are kept; a delivery knows the version it needs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use misy_core::{Ctx, EndpointId, TenantId, Timestamp};
use misy_egress::{Identity, Way};
use misy_store::TenantTx;
use moka::sync::Cache;
use url::Url;

use super::tokens::Tokens;
use super::{Stored, unseal};
use crate::Deps;
use crate::endpoints::model::{Endpoint, Error, Secrets};
use crate::endpoints::store;
use crate::signatures::model::Signer;

/// How long one is kept that is not used. It holds open secrets.
const KEPT: Duration = Duration::from_mins(5);
const KEPT_MAX: u64 = 20_000;

/// Endpoints that were opened lately.
#[derive(Clone)]
pub struct Opened(Cache<(TenantId, EndpointId), Arc<OpenEndpoint>>);

impl Default for Opened {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT_MAX).time_to_idle(KEPT).build())
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

/// An endpoint that can be delivered to.
pub(crate) struct OpenEndpoint {
    pub(crate) endpoint: Endpoint,
    pub(crate) url: Url,
    /// Everything that is sent along, secret or not.
    pub(crate) headers: HeaderMap,
    pub(crate) way: Option<Arc<Way>>,
    /// For a receiver that wants to see a token.
    pub(crate) tokens: Option<Tokens>,
    signers: Vec<(Signer, Option<Timestamp>)>,
    pace: Mutex<Option<Timestamp>>,
    paused_until_ms: AtomicI64,
}

impl OpenEndpoint {
    /// The `webhook-signature` header: one entry for each secret that is good now.
    pub(crate) fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let live = self.signers.iter().filter(|(_, until)| until.is_none_or(|until| now < until));
        let entries: Vec<String> =
            live.map(|(signer, _)| signer.sign(id, now.as_second(), body)).collect();
        entries.join(" ")
    }

    /// When a delivery may leave that wants to leave now: at once, or when its turn by the
    /// endpoint's rate comes (GCRA without a burst), or when a pause is over that it asked for.
    /// Turns are taken, so each delivery that asks is told another time.
    pub(crate) fn turn(&self, now: Timestamp) -> Timestamp {
        let paused = self.paused_until_ms.load(Ordering::Relaxed);
        let open = Timestamp::from_millisecond(paused).unwrap_or(now).max(now);
        if open > now {
            return open;
        }
        let Some(rate) = self.endpoint.settings.rate_per_s else { return now };
        let interval = jiff::SignedDuration::from_micros(1_000_000 / i64::from(rate.max(1)));
        let mut arrival = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = arrival.map_or(now, |at| at.max(now));
        // What leaves within a tenth of a second may leave now: the queue is not that exact.
        let burst = jiff::SignedDuration::from_millis(100);
        *arrival = turn.checked_add(interval).ok();
        if turn.duration_since(now) <= burst { now } else { turn }
    }

    /// Sends nothing until then.
    pub(crate) fn pause(&self, until: Timestamp) {
        self.paused_until_ms.fetch_max(until.as_millisecond(), Ordering::Relaxed);
    }
}

/// The endpoint as it is now, opened; `None` if it is gone.
pub(crate) async fn open(
    deps: &Deps,
    tx: &mut TenantTx,
    id: EndpointId,
) -> Result<Option<Arc<OpenEndpoint>>, Error> {
    let Some(Stored { endpoint, sealed }) = store::find(tx, id).await? else { return Ok(None) };
    let key = (tx.ctx().tenant(), id);
    let known = deps.opened.0.get(&key).filter(|it| it.endpoint.version == endpoint.version);
    if let Some(known) = known {
        return Ok(Some(known));
    }
    let secrets = unseal(deps, tx, id, &sealed).await?;
    let opened = Arc::new(assemble(deps, tx.ctx(), endpoint, &secrets)?);
    deps.opened.0.insert(key, Arc::clone(&opened));
    Ok(Some(opened))
}

/// One that is open already and of this version.
pub(crate) fn find_open(
    deps: &Deps,
    ctx: &Ctx,
    id: EndpointId,
    version: i64,
) -> Option<Arc<OpenEndpoint>> {
    deps.opened.0.get(&(ctx.tenant(), id)).filter(|it| it.endpoint.version == version)
}

fn assemble(
    deps: &Deps,
    ctx: &Ctx,
    endpoint: Endpoint,
    secrets: &Secrets,
) -> Result<OpenEndpoint, Error> {
    let signers = secrets.keys.iter().map(|it| Ok((it.key.signer()?, it.until)));
    let signers: Result<Vec<_>, crate::signatures::model::NoKey> = signers.collect();
    let plain = endpoint.settings.headers.iter().map(|(name, value)| (name, value.as_str(), false));
    let secret = secrets.headers.iter().map(|(name, value)| (name, value.expose(), true));
    let mut headers = HeaderMap::new();
    for (name, value, sensitive) in plain.chain(secret) {
        let name = HeaderName::try_from(name.to_ascii_lowercase());
        let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) else { continue };
        value.set_sensitive(sensitive);
        headers.insert(name, value);
    }
    let way = way(deps, ctx, &endpoint, secrets).map_err(|_| Error::Sealed)?.map(Arc::new);
    let tokens = match (&endpoint.settings.oauth, &secrets.oauth) {
        (Some(oauth), Some(secret)) => Some(Tokens::new(oauth.clone(), secret.clone())),
        _ => None,
    };
    Ok(OpenEndpoint {
        url: Url::parse(&endpoint.url).map_err(|_| Error::Sealed)?,
        headers,
        way,
        tokens: tokens.transpose().map_err(|_| Error::Sealed)?,
        signers: signers.map_err(|_| Error::Sealed)?,
        pace: Mutex::new(None),
        paused_until_ms: AtomicI64::new(0),
        endpoint,
    })
}

/// A way of its own for an endpoint that needs one.
pub(super) fn way(
    deps: &Deps,
    ctx: &Ctx,
    endpoint: &Endpoint,
    secrets: &Secrets,
) -> Result<Option<Way>, misy_egress::Error> {
    let networks = &endpoint.settings.allowed_networks;
    if networks.is_empty() && secrets.certificate.is_none() {
        return Ok(None);
    }
    let identity = secrets
        .certificate
        .as_ref()
        .map(|it| Identity { certificates: it.certificates.clone(), key: it.key.clone() });
    let private = deps.config.private_hosts_allowed;
    deps.egress.of(ctx).way(identity.as_ref(), networks, private).map(Some)
}
