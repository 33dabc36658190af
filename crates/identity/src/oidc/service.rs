//! Room `identity`: a login at an `OpenID` provider, from the link to it until the visitor is back,
//! and logout in both directions.

mod calls;

use misy_core::{Ctx, Permission, PlatformCtx, Secret, SessionId, SsoConnectionId};
use misy_web::Peer;

pub(crate) use calls::Providers;

use super::model::{
    self, Awaited, Callback, Doubt, check_id_token, check_logout_token, is_email_verified,
};
use crate::sso::model::{Assertion, Check, Derived, Error, address_of, challenge_of};
use crate::sso::service::{self as sso, Begun, Start};
use crate::sso_connections::model::{Connection, Kind, OidcSettings, Status};
use crate::sso_connections::service as connections;
use crate::{Deps, Error as Failure};

/// Where we ask the provider to send the browser back to.
fn redirect_uri(deps: &Deps, connection: &Connection) -> String {
    format!("{}/v1/auth/oidc/{}/callback", deps.config.issuer, connection.id)
}

fn settings(connection: &Connection) -> Result<OidcSettings, Failure> {
    let corrupt = |_| misy_store::Error::Corrupt { column: "settings" };
    Ok(OidcSettings::read(&connection.settings).map_err(corrupt)?)
}

/// A link to the provider and the cookie's value.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) location: String,
    pub(super) browser: Secret,
}

/// Begins a login.
pub(super) async fn start(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    start: Start<'_>,
    login_hint: Option<&str>,
    peer: Peer,
) -> Result<Departure, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let (inside, connection) = connections::find_for_visitor(deps, ctx, id, Kind::Oidc).await?;
    let settings = settings(&connection)?;
    let Begun { state, derived, browser } = sso::begin(deps, &inside, &connection, start).await?;
    let provider = calls::provider(deps, &inside, &connection, &settings).await?;
    let mut url = calls::parse(&provider.metadata.authorization_endpoint)?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &redirect_uri(deps, &connection))
        .append_pair("scope", &settings.scopes.join(" "))
        .append_pair("state", state.expose())
        .append_pair("nonce", &derived.nonce)
        .append_pair("code_challenge", &challenge_of(derived.verifier.expose()))
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(login_hint.map(|hint| ("login_hint", hint)));
    Ok(Departure { location: url.into(), browser })
}

/// Finishes a login; gives where the browser goes on. Whatever is wrong with what the provider says
/// is in the audit log and not in the answer.
pub(super) async fn finish(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    callback: Callback,
    browser: Option<&str>,
    peer: Peer,
) -> Result<String, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let (inside, connection) = connections::find_for_visitor(deps, ctx, id, Kind::Oidc).await?;
    let (login, derived) = sso::take(deps, &inside, &connection, &callback.state, browser).await?;
    if connection.status == Status::Disabled {
        return sso::deny(deps, &inside, &connection, &login, "disabled").await;
    }
    match assertion(deps, &inside, &connection, callback, &derived).await? {
        Ok((assertion, id_token)) => {
            let hint = Some(&id_token);
            sso::arrive(deps, &inside, &connection, &login, &assertion, hint).await
        }
        Err(reason) => sso::deny(deps, &inside, &connection, &login, reason).await,
    }
}

/// Exchanges the code and believes what comes for it, or says why not.
async fn assertion(
    deps: &Deps,
    inside: &Ctx,
    connection: &Connection,
    callback: Callback,
    derived: &Derived,
) -> Result<Result<(Assertion, Secret), &'static str>, Failure> {
    let settings = settings(connection)?;
    let Ok(provider) = calls::provider(deps, inside, connection, &settings).await else {
        return Ok(Err("provider_unreachable"));
    };
    if !callback.is_from(&provider.metadata) {
        return Ok(Err("other_provider"));
    }
    let Some(code) = callback.code else { return Ok(Err("provider_refused")) };
    let site = calls::Site { deps, inside, connection, settings: &settings };
    let redirect = redirect_uri(deps, connection);
    let verifier = &derived.verifier;
    let Some(tokens) = site.redeem(&provider, &code, verifier, &redirect).await? else {
        return Ok(Err("code_refused"));
    };
    let (mut claims, algorithm) = match site.verify(&provider, tokens.id_token.expose(), &[]).await
    {
        Ok(verified) => verified,
        Err(doubt) => return Ok(Err(doubt.slug())),
    };
    let awaited = awaited(deps, &settings);
    let access = tokens.access_token.expose();
    let checked = check_id_token(&claims, algorithm, awaited, &derived.nonce, access);
    let subject = match checked {
        Ok(subject) => subject.to_owned(),
        Err(doubt) => return Ok(Err(doubt.slug())),
    };
    if settings.userinfo {
        let Some(more) = site.userinfo(&provider, &tokens.access_token, &subject).await else {
            return Ok(Err("userinfo_failed"));
        };
        // What was signed counts before what was only fetched.
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
    }
    let verified = is_email_verified(&claims, settings.trust_email);
    let names = &connection.rules.attributes;
    let assertion = Assertion::read(names, &subject, &claims, verified);
    Ok(Ok((assertion, tokens.id_token)))
}

fn awaited<'a>(deps: &Deps, settings: &'a OidcSettings) -> Awaited<'a> {
    let OidcSettings { issuer, client_id, .. } = settings;
    Awaited { issuer, client_id, now: deps.ambient.now() }
}

/// Ends the sessions that a provider's logout token names. Every doubt has one answer.
pub(super) async fn end(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SsoConnectionId,
    token: &Secret,
    peer: Peer,
) -> Result<(), Failure> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let (inside, connection) = connections::find_for_visitor(deps, ctx, id, Kind::Oidc).await?;
    let settings = settings(&connection)?;
    let provider = calls::provider(deps, &inside, &connection, &settings).await?;
    let site = calls::Site { deps, inside: &inside, connection: &connection, settings: &settings };
    let doubted = |_: Doubt| Error::LogoutToken;
    let verified = site.verify(&provider, token.expose(), &["logout+jwt"]).await;
    let (claims, _) = verified.map_err(doubted)?;
    let ending = check_logout_token(&claims, awaited(deps, &settings)).map_err(doubted)?;
    if !sso::is_first(deps, &inside, &connection, &ending.id, ending.expires_at).await? {
        return Err(Error::LogoutToken.into());
    }
    let (session, subject) = (ending.session_index.as_deref(), ending.subject.as_deref());
    sso::end(deps, ctx, &inside, &connection, session, subject).await?;
    // A provider that signs many out at once speaks from one address.
    deps.by_address.put_back(&address);
    Ok(())
}

/// Where the browser signs out at the provider too (RP-Initiated Logout 1.0); `None` if the session
/// came from no `OpenID` provider, or from one that does not offer it or cannot be reached.
pub(crate) async fn logout_url(
    deps: &Deps,
    inside: &Ctx,
    session: SessionId,
    return_to: Option<&str>,
) -> Result<Option<String>, Failure> {
    let Some((connection, hint)) = sso::origin(deps, inside, session).await? else {
        return Ok(None);
    };
    if connection.kind != Kind::Oidc {
        return Ok(None);
    }
    let settings = settings(&connection)?;
    let Ok(provider) = calls::provider(deps, inside, &connection, &settings).await else {
        return Ok(None);
    };
    let Some(endpoint) = &provider.metadata.end_session_endpoint else { return Ok(None) };
    let mut url = calls::parse(endpoint)?;
    let back = return_to.map(|place| address_of(&deps.config.issuer, place));
    url.query_pairs_mut()
        .append_pair("client_id", &settings.client_id)
        .extend_pairs(hint.as_ref().map(|hint| ("id_token_hint", hint.expose())))
        .extend_pairs(back.as_ref().map(|back| ("post_logout_redirect_uri", back)));
    Ok(Some(url.into()))
}

/// Tries what can be tried without a person: discovery and keys.
pub(crate) async fn probe(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
) -> Result<Vec<Check>, Failure> {
    ctx.require(Permission::SsoManage)?;
    let settings = settings(connection)?;
    let fresh = calls::fetch(deps, ctx, connection, &settings).await;
    let provider = match fresh {
        Ok(provider) => provider,
        Err(Failure::Sso(Error::Provider(why))) => {
            return Ok(vec![Check::new("discovery", false, why)]);
        }
        Err(error) => return Err(error),
    };
    let found = format!("found at {}", model::discovery_url(&settings.issuer));
    let keys = provider.keys().len();
    let logout = provider.metadata.end_session_endpoint.is_some();
    let usable = format!("{keys} keys that can sign for us");
    let offered = if logout { "offered" } else { "not offered: only our session will end" };
    Ok(vec![
        Check::new("discovery", true, found),
        Check::new("keys", keys > 0, usable),
        Check::new("logout", logout, offered),
    ])
}
