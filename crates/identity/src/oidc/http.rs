//! Room `identity`: `/v1/auth/oidc/{connection}`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use misy_core::{Secret, SsoConnectionId};
use misy_web::{Anyone, Params, PathId, Peer, Problem, Raw, Traits, with};
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::Callback;
use super::service;
use crate::sso::http::{cookie, read_cookie, see_other};
use crate::sso::model::Error;
use crate::sso::service::Start;
use crate::{Deps, Error as Failure};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(with(routes!(callback), Traits::new().any_query()))
        .routes(routes!(backchannel_logout))
        .with_state(Arc::clone(deps))
}

/// A login takes ten minutes at most, and so does its cookie.
const COOKIE_S: u32 = 600;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StartQuery {
    /// The S256 challenge (RFC 7636) of a verifier that the page keeps and redeems the code with.
    #[param(min_length = 43, max_length = 43)]
    code_challenge: String,
    /// Where to go afterwards: a path of this host, or an address where the tenant's own page is
    /// (`brand.app_url`) once its domain is verified; `/` if not given.
    #[param(max_length = 1024)]
    return_to: Option<String>,
    /// Passed on to the provider.
    #[param(max_length = 320)]
    login_hint: Option<String>,
}

/// Sends the browser to the identity provider.
#[utoipa::path(get, path = "/v1/auth/oidc/{connection}/start", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path), StartQuery),
    responses((status = 303, description = "to the provider")))]
async fn start(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    Params(query): Params<StartQuery>,
) -> Result<Response, Problem> {
    let begin = Start { return_to: query.return_to.as_deref(), challenge: &query.code_challenge };
    let hint = query.login_hint.as_deref();
    let departure = service::start(&deps, &ctx, id, begin, hint, peer).await?;
    let cookie = cookie(&deps, departure.browser.expose(), COOKIE_S);
    Ok(see_other(&departure.location, Some(cookie)))
}

/// Where the provider sends the browser back to. It goes on to the page that began the login, with
/// `sso_code` in the fragment, or with `sso_error` and a reference for the administrator.
#[utoipa::path(get, path = "/v1/auth/oidc/{connection}/callback", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path)),
    responses((status = 303, description = "to the page that began the login"),
        (status = 400, description = "no login of this browser is under way")))]
async fn callback(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    let callback = Callback::read(pairs).ok_or_else(|| Failure::from(Error::UnknownLogin))?;
    let browser = read_cookie(&deps, &headers);
    let location = service::finish(&deps, &ctx, id, callback, browser.as_deref(), peer).await?;
    Ok(see_other(&location, Some(cookie(&deps, "", 0))))
}

/// What a provider sends when somebody has signed out there.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form, which is read by hand")]
struct BackchannelLogout {
    /// A signed token (`OpenID` Connect Back-Channel Logout 1.0).
    logout_token: String,
}

/// Ends the sessions that somebody has who signed out at the provider.
#[utoipa::path(post, path = "/v1/auth/oidc/{connection}/backchannel-logout",
    tag = "single sign-on", security(()), params(("connection" = SsoConnectionId, Path)),
    request_body(content = BackchannelLogout, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "ended, if there were any")))]
async fn backchannel_logout(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    Raw(body): Raw,
) -> Result<impl IntoResponse, Problem> {
    let mut tokens = form_urlencoded::parse(&body).filter(|(name, _)| name == "logout_token");
    let malformed = || Failure::from(Error::LogoutToken);
    let (_, token) = tokens.next().ok_or_else(malformed)?;
    if tokens.next().is_some() {
        return Err(malformed().into());
    }
    service::end(&deps, &ctx, id, &Secret::new(token), peer).await?;
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]))
}
