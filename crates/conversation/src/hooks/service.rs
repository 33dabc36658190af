//! Room `conversation`: a delivery's way from the wire to the inbox.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use misy_channel::{Account, Channel, Routed, VerifyError};
use misy_core::{ChannelId, Claim, Grants, PlatformCtx};

use super::model::{Error, Known, Outcome, Route};
use super::store;
use crate::channels::{self, Opened};
use crate::{Deps, inbox};

/// What was delivered.
pub(crate) struct Delivery<'a> {
    /// What it says of its tenant. Looked at only once its sender is verified: nobody else may
    /// learn whose account it is.
    pub(crate) claim: Claim,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) raw: &'a Bytes,
}

impl Delivery<'_> {
    /// Whether it comes from whoever may deliver for this account, and for no other tenant.
    fn verify(&self, channel: &dyn Channel, route: Route, account: &Account) -> Result<(), Error> {
        channel.verify(account, self.headers, self.raw).map_err(Error::Signature)?;
        self.claim.check(route.tenant).map_err(Error::Misplaced)
    }
}

/// Takes a delivery for one account. Parts that name other accounts are not looked at.
pub(crate) async fn deliver(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: ChannelId,
    delivery: &Delivery<'_>,
) -> Result<Outcome, Error> {
    let found = find(deps, ctx, id).await?;
    let Some((channel, route, opened)) = found else {
        return Err(Error::Signature(VerifyError::Mismatch));
    };
    delivery.verify(channel.as_ref(), route, &opened.account)?;
    let mut known = vec![opened.account.external_id.clone()];
    known.extend(channel.more_routes(&opened.account.settings));
    let mut outcome = Outcome::default();
    for part in channel.route(delivery.raw)? {
        if known.contains(&part.external_id) {
            inbox::service::keep(deps, ctx, route, part.raw.into()).await?;
            outcome.stored += 1;
        } else {
            outcome.unknown += 1;
        }
    }
    count(channel.kind(), outcome);
    Ok(outcome)
}

/// Takes a delivery at the one address of a provider's app: the payload tells which accounts it is
/// for, and each part is kept by its own tenant alone, if that tenant's secret has signed the
/// whole.
pub(crate) async fn deliver_shared(
    deps: &Deps,
    ctx: &PlatformCtx,
    hook: &str,
    delivery: &Delivery<'_>,
) -> Result<Outcome, Error> {
    let mut unreadable = None;
    for channel in sharing(deps, hook)? {
        match channel.route(delivery.raw) {
            Ok(parts) => return keep_parts(deps, ctx, &channel, delivery, parts).await,
            Err(error) => unreadable = Some(error),
        }
    }
    Err(unreadable.map_or(Error::NotFound, Error::Unreadable))
}

/// The account of a kind that a provider's id, or a site's, leads to.
pub(crate) async fn find_account(
    deps: &Deps,
    ctx: &PlatformCtx,
    kind: &str,
    external_id: &str,
) -> Result<Option<(Route, Arc<Opened>)>, Error> {
    let part = Routed { external_id: external_id.to_owned(), raw: Vec::new() };
    let routes = look_up(deps, ctx, kind, std::slice::from_ref(&part)).await?;
    open_part(deps, ctx, kind, &part, &routes).await
}

/// The channels whose provider delivers to this address.
fn sharing(deps: &Deps, hook: &str) -> Result<Vec<Arc<dyn Channel>>, Error> {
    let sharing: Vec<_> =
        deps.channels.iter().filter(|one| one.shared_hook() == Some(hook)).cloned().collect();
    if sharing.is_empty() { Err(Error::NotFound) } else { Ok(sharing) }
}

async fn keep_parts(
    deps: &Deps,
    ctx: &PlatformCtx,
    channel: &Arc<dyn Channel>,
    delivery: &Delivery<'_>,
    parts: Vec<Routed>,
) -> Result<Outcome, Error> {
    let routes = look_up(deps, ctx, channel.kind(), &parts).await?;
    let mut outcome = Outcome::default();
    let mut refusal = Error::Signature(VerifyError::Mismatch);
    for part in parts {
        let found = open_part(deps, ctx, channel.kind(), &part, &routes).await?;
        let Some((route, opened)) = found else {
            outcome.unknown += 1;
            continue;
        };
        match delivery.verify(channel.as_ref(), route, &opened.account) {
            Ok(()) => {
                inbox::service::keep(deps, ctx, route, part.raw.into()).await?;
                outcome.stored += 1;
            }
            Err(error) => {
                refusal = error;
                outcome.refused += 1;
            }
        }
    }
    count(channel.kind(), outcome);
    if outcome.unknown > 0 {
        tracing::info!(
            kind = channel.kind(),
            parts = outcome.unknown,
            "hook names unknown accounts"
        );
    }
    if outcome.stored == 0 && outcome.refused > 0 {
        return Err(refusal);
    }
    Ok(outcome)
}

/// The account that a part is for. One that was disconnected since it was looked up may be another
/// tenant's by now.
async fn open_part(
    deps: &Deps,
    ctx: &PlatformCtx,
    kind: &str,
    part: &Routed,
    routes: &HashMap<String, Route>,
) -> Result<Option<(Route, Arc<Opened>)>, Error> {
    let Some(route) = routes.get(&part.external_id).copied() else { return Ok(None) };
    if let Some(opened) = open(deps, ctx, route).await? {
        return Ok(Some((route, opened)));
    }
    deps.routes.forget(kind, &part.external_id);
    let again = look_up(deps, ctx, kind, std::slice::from_ref(part)).await?;
    let Some(route) = again.get(&part.external_id).copied() else { return Ok(None) };
    Ok(open(deps, ctx, route).await?.map(|opened| (route, opened)))
}

fn count(kind: &'static str, outcome: Outcome) {
    metrics::counter!("misy_hooks_total", "kind" => kind, "outcome" => outcome.label())
        .increment(1);
}

/// The account behind an address of its own. An address that nobody has is refused as a wrong
/// secret is at one that somebody has: whoever guesses learns nothing.
async fn find(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: ChannelId,
) -> Result<Option<(Arc<dyn Channel>, Route, Arc<Opened>)>, Error> {
    let Some((channel, route)) = find_route(deps, ctx, id).await? else { return Ok(None) };
    Ok(open(deps, ctx, route).await?.map(|opened| (channel, route, opened)))
}

async fn find_route(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: ChannelId,
) -> Result<Option<(Arc<dyn Channel>, Route)>, Error> {
    let name = id.to_string();
    let looked =
        deps.channels.iter().find_map(|channel| match deps.routes.look(channel.kind(), &name) {
            Known::Found(route) => Some((Arc::clone(channel), route)),
            Known::Absent | Known::Unknown => None,
        });
    if looked.is_some() {
        return Ok(looked);
    }
    let mut tx = deps.db.platform_read(ctx).await?;
    let Some((kind, route)) = store::find_by_channel(&mut tx, id).await? else { return Ok(None) };
    let Some(channel) = deps.channels.find(&kind) else { return Ok(None) };
    deps.routes.keep(&kind, &name, Some(route));
    Ok(Some((Arc::clone(channel), route)))
}

async fn open(deps: &Deps, ctx: &PlatformCtx, route: Route) -> Result<Option<Arc<Opened>>, Error> {
    if let Some(opened) = deps.accounts.find(route.tenant, route.channel) {
        return Ok(Some(opened));
    }
    let inside = ctx.enter(route.tenant, Grants::NONE);
    let mut tx = deps.db.read(&inside).await?;
    Ok(channels::service::open_account(deps, &mut tx, route.channel).await?)
}

async fn look_up(
    deps: &Deps,
    ctx: &PlatformCtx,
    kind: &str,
    parts: &[Routed],
) -> Result<HashMap<String, Route>, Error> {
    let mut found = HashMap::new();
    let mut missing = Vec::new();
    for part in parts {
        match deps.routes.look(kind, &part.external_id) {
            Known::Found(route) => drop(found.insert(part.external_id.clone(), route)),
            Known::Absent => {}
            Known::Unknown => missing.push(part.external_id.as_str()),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let mut tx = deps.db.platform_read(ctx).await?;
    found.extend(store::list_by_external_id(&mut tx, kind, &missing).await?);
    for external_id in missing {
        deps.routes.keep(kind, external_id, found.get(external_id).copied());
    }
    Ok(found)
}

/// Answers the handshake for one account's address.
pub async fn shake_hands(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: ChannelId,
    query: &str,
) -> Result<String, Error> {
    let (channel, _, opened) = find(deps, ctx, id).await?.ok_or(Error::Handshake)?;
    answer(channel.as_ref(), &opened, query)
}

/// Answers the handshake for the one address of a provider's app, with any account's token.
pub async fn shake_hands_shared(
    deps: &Deps,
    ctx: &PlatformCtx,
    hook: &str,
    query: &str,
) -> Result<String, Error> {
    for channel in sharing(deps, hook)? {
        let Some(token) = channel.handshake_token(query) else { continue };
        let digest = channels::model::handshake_digest(&deps.routing_key, &token);
        let mut tx = deps.db.platform_read(ctx).await?;
        if let Some(route) = store::find_by_handshake(&mut tx, channel.kind(), &digest).await? {
            drop(tx);
            let opened = open(deps, ctx, route).await?.ok_or(Error::Handshake)?;
            return answer(channel.as_ref(), &opened, query);
        }
    }
    Err(Error::Handshake)
}

fn answer(channel: &dyn Channel, opened: &Opened, query: &str) -> Result<String, Error> {
    channel.handshake(&opened.account, query).map_err(|_| Error::Handshake)
}
