//! Room `identity`: a login at a SAML provider, from the link to it until the visitor is back, and
//! logout by it.

use http::Method;
use misy_core::{Ctx, Permission, PlatformCtx, Secret, SsoConnectionId};
use misy_egress::Call;
use misy_saml::{
    Incoming, KeyPair, Outgoing, Peer as Provider, Refusal, Request, Response, ServiceProvider,
    Strict, Subject, Us,
};
use misy_store::TenantTx;
use misy_web::{IfMatch, Peer};
use serde_json::{Map, Value};

use super::model;
use crate::sso::model::{self as sso_model, Assertion, Check, Error, Login};
use crate::sso::service::{self as sso, Begun, Start};
use crate::sso_connections::model::{Change, Connection, Kind, SamlSettings, Status};
use crate::sso_connections::service as connections;
use crate::{Deps, Error as Failure};

/// Metadata that is fetched may be this large.
const METADATA_BYTES_MAX: usize = 1 << 20;

fn settings(connection: &Connection) -> Result<SamlSettings, Failure> {
    let corrupt = |_| misy_store::Error::Corrupt { column: "settings" };
    Ok(SamlSettings::read(&connection.settings).map_err(corrupt)?)
}

/// What we are to the provider of a connection.
async fn us(
    deps: &Deps,
    tx: &mut TenantTx,
    connection: &Connection,
    settings: &SamlSettings,
) -> Result<Us, Failure> {
    let place = format!("{}/v1/auth/saml/{}", deps.config.issuer, connection.id);
    let key = connections::open(deps, tx, connection).await?.remove("signing_key");
    let key = key.map(|key| KeyPair::read(key, &connection.id.to_string())).transpose();
    let key = key.map_err(|_| misy_store::Error::Corrupt { column: "secrets" })?;
    Ok(Us {
        entity_id: format!("{place}/metadata"),
        acs_url: format!("{place}/acs"),
        slo_url: format!("{place}/slo"),
        sign_requests: settings.sign_requests && key.is_some(),
        key,
    })
}

/// A connection for the moment of a visit.
struct Site {
    inside: Ctx,
    connection: Connection,
    settings: SamlSettings,
    us: Us,
}

impl Site {
    async fn find(deps: &Deps, ctx: &PlatformCtx, id: SsoConnectionId) -> Result<Self, Failure> {
        let (inside, connection) = connections::find_for_visitor(deps, ctx, id, Kind::Saml).await?;
        let settings = settings(&connection)?;
        let mut tx = deps.db.read(&inside).await?;
        let us = us(deps, &mut tx, &connection, &settings).await?;
        drop(tx);
        Ok(Self { inside, connection, settings, us })
    }

    /// Notes every name that may be used once; `false` if one was used before, here or on any node.
    async fn keeps(&self, deps: &Deps, once: &[misy_saml::Once]) -> Result<bool, Failure> {
        for one in once {
            let (connection, until) = (&self.connection, one.until);
            if !sso::is_first(deps, &self.inside, connection, &one.key, until).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Our metadata, for the provider to read.
pub(super) async fn metadata(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    peer: Peer,
) -> Result<String, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let site = Site::find(deps, ctx, id).await?;
    Ok(Strict.metadata(&site.us).map_err(unusable)?)
}

fn unusable(refusal: Refusal) -> Error {
    Error::Provider(refusal.to_string())
}

/// Where the browser goes, and the cookie's value.
pub(super) struct Departure {
    pub(super) outgoing: Outgoing,
    pub(super) browser: Secret,
}

/// Begins a login.
pub(super) async fn start(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    start: Start<'_>,
    peer: Peer,
) -> Result<Departure, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let site = Site::find(deps, ctx, id).await?;
    let begun = sso::begin(deps, &site.inside, &site.connection, start).await?;
    let Begun { state, derived, browser } = begun;
    let (id, relay_state, now) = (&derived.request_id, state.expose(), deps.ambient.now());
    let request = Request { id, relay_state, now };
    let provider = model::peer(&site.settings);
    let outgoing = Strict.begin(&site.us, &provider, request).map_err(unusable)?;
    Ok(Departure { outgoing, browser })
}

/// A response as it was posted.
#[derive(Clone, Copy)]
pub(super) struct Posted<'a> {
    pub(super) message: &'a str,
    pub(super) relay_state: Option<&'a str>,
    pub(super) browser: Option<&'a str>,
}

/// Finishes a login; gives where the browser goes on. Why a response is refused is in the audit log
/// and not in the answer.
pub(super) async fn finish(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    posted: Posted<'_>,
    peer: Peer,
) -> Result<String, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let site = Site::find(deps, ctx, id).await?;
    let (login, request_id) = login(deps, &site, posted).await?;
    if site.connection.status == Status::Disabled {
        return site.deny(deps, &login, "disabled").await;
    }
    let response = Response {
        message: posted.message,
        relay_state: posted.relay_state,
        request_id: request_id.as_deref(),
        now: deps.ambient.now(),
        skew_s: site.settings.clock_skew_s,
    };
    let provider = model::peer(&site.settings);
    let subject = match Strict.accept(&site.us, &provider, response) {
        Ok(subject) => subject,
        Err(refusal) => return site.deny(deps, &login, refusal.slug()).await,
    };
    if !site.keeps(deps, &subject.once).await? {
        return site.deny(deps, &login, Refusal::Replayed.slug()).await;
    }
    site.arrive(deps, &login, &subject).await
}

/// The login that a response belongs to, and the request that it has to answer. One without our
/// state is the provider's own idea, which a connection has to allow.
async fn login(
    deps: &Deps,
    site: &Site,
    posted: Posted<'_>,
) -> Result<(Login, Option<String>), Failure> {
    let (inside, connection) = (&site.inside, &site.connection);
    let state = posted.relay_state.filter(|state| !state.is_empty() && !state.starts_with('/'));
    match state {
        Some(state) => {
            let taken = sso::take(deps, inside, connection, state, posted.browser).await?;
            Ok((taken.0, Some(taken.1.request_id)))
        }
        None if site.settings.idp_initiated => {
            let login = sso::adopt(deps, inside, connection, posted.relay_state).await?;
            Ok((login, None))
        }
        None => Err(Error::UnknownLogin.into()),
    }
}

impl Site {
    async fn deny(
        &self,
        deps: &Deps,
        login: &Login,
        reason: &'static str,
    ) -> Result<String, Failure> {
        sso::deny(deps, &self.inside, &self.connection, login, reason).await
    }

    async fn arrive(
        &self,
        deps: &Deps,
        login: &Login,
        subject: &Subject,
    ) -> Result<String, Failure> {
        let chosen = &self.connection.rules.attributes;
        let assertion = match model::read(chosen, self.settings.profile, subject) {
            Ok(assertion) => assertion,
            Err(refusal) => return self.deny(deps, login, refusal.slug()).await,
        };
        sso::arrive(deps, &self.inside, &self.connection, login, &assertion, None).await
    }
}

/// Tries what can be tried without a person: whether a login could begin, and what it could do.
pub(crate) async fn probe(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
) -> Result<Vec<Check>, Failure> {
    ctx.require(Permission::SsoManage)?;
    let settings = settings(connection)?;
    let mut tx = deps.db.read(ctx).await?;
    let us = us(deps, &mut tx, connection, &settings).await?;
    drop(tx);
    let request = Request { id: "_test", relay_state: "test", now: deps.ambient.now() };
    let begun = Strict.begin(&us, &model::peer(&settings), request);
    Ok(model::checks(&us, &settings, &begun))
}

/// What a response with these attributes would say of the person.
pub(crate) fn rehearse(
    connection: &Connection,
    said: &Map<String, Value>,
) -> Result<Result<Assertion, sso_model::Refusal>, Failure> {
    let profile = settings(connection)?.profile;
    Ok(model::read(&connection.rules.attributes, profile, &model::rehearsed(said)))
}

/// Ends the sessions that a provider's request names; gives our signed answer to carry back.
pub(super) async fn end(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    message: Incoming<'_>,
    peer: Peer,
) -> Result<Outgoing, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let site = Site::find(deps, ctx, id).await?;
    let (now, skew_s) = (deps.ambient.now(), site.settings.clock_skew_s);
    let provider = model::peer(&site.settings);
    let read = Strict.accept_logout(&site.us, &provider, message, now, skew_s);
    let logout = read.map_err(|_| Error::LogoutToken)?;
    if !site.keeps(deps, &logout.once).await? {
        return Err(Error::LogoutToken.into());
    }
    let subject = Some(logout.name_id.0.as_str());
    let (inside, connection) = (&site.inside, &site.connection);
    if logout.session_indexes.is_empty() {
        sso::end(deps, ctx, inside, connection, None, subject).await?;
    }
    for index in &logout.session_indexes {
        sso::end(deps, ctx, inside, connection, Some(index), subject).await?;
    }
    Ok(logout.answer)
}

/// Where an administrator has a provider's metadata from.
pub(super) enum Source<'a> {
    /// The text.
    Text(&'a str),
    /// An address, which is fetched once.
    Url(&'a str),
}

/// Reads a provider's metadata; nothing is kept of it.
pub(super) async fn read_metadata(
    deps: &Deps,
    ctx: &Ctx,
    source: Source<'_>,
) -> Result<Provider, Failure> {
    ctx.require(Permission::SsoManage)?;
    let text = match source {
        Source::Text(text) => text.to_owned(),
        Source::Url(url) => fetch(deps, ctx, url).await?,
    };
    Ok(misy_saml::read_metadata(&text).map_err(|_| Error::Metadata)?)
}

async fn fetch(deps: &Deps, ctx: &Ctx, url: &str) -> Result<String, Failure> {
    let refused = |error: misy_egress::Error| Error::Address(error.to_string());
    let call = Call::new(ctx.tenant(), "saml", Method::GET, url, "/metadata").map_err(refused)?;
    let answer = deps.outside()?.egress.of(ctx).call(call).await.map_err(refused)?;
    if !answer.status.is_success() || answer.body.len() > METADATA_BYTES_MAX {
        return Err(Error::Metadata.into());
    }
    String::from_utf8(answer.body.to_vec()).map_err(|_| Error::Metadata.into())
}

/// Gives a connection a key of its own, or another one. Only its certificate is told; the provider
/// has to learn it before requests are signed with it.
pub(super) async fn make_key(
    deps: &Deps,
    ctx: &Ctx,
    id: SsoConnectionId,
    seen: &IfMatch,
) -> Result<String, Failure> {
    ctx.require(Permission::SsoManage)?;
    let connection = connections::get(deps, ctx, id).await?;
    if connection.kind != Kind::Saml {
        return Err(crate::sso_connections::Error::NotFound.into());
    }
    let pair = KeyPair::generate(&id.to_string()).map_err(unusable)?;
    let secrets = [("signing_key".to_owned(), Some(pair.private.clone()))].into();
    let change = Change { secrets, ..Change::default() };
    connections::update(deps, ctx, id, change, seen).await?;
    Ok(pair.certificate)
}
