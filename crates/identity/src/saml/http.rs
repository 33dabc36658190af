//! Room `identity`: `/v1/auth/saml/{connection}` and what an administrator needs to connect one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use garde::Validate;
use misy_core::SsoConnectionId;
use misy_saml::{Binding, Incoming, Outgoing};
use misy_web::{Anyone, IfMatch, Params, PathId, Peer, Problem, Raw, Tenant, Traits, Valid, with};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::page;
use super::service::{self, Posted, Source};
use crate::sso::http::{cookie, read_cookie, see_other};
use crate::sso::model::Error;
use crate::sso::service::Start;
use crate::{Deps, Error as Failure};

/// A response of 256 KiB, in base64 and percent-encoded.
const FORM_BYTES_MAX: usize = 512 << 10;
/// A login takes ten minutes at most, and so does its cookie.
const COOKIE_S: u32 = 600;

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    let form = Traits::new().body_limit_bytes(FORM_BYTES_MAX);
    OpenApiRouter::new()
        .routes(routes!(metadata))
        .routes(routes!(start))
        .routes(with(routes!(acs), form))
        .routes(with(routes!(slo_by_redirect, slo_by_form), form.any_query()))
        .routes(with(routes!(read_metadata), Traits::new().body_limit_bytes(3 << 19)))
        .routes(routes!(make_key))
        .with_state(Arc::clone(deps))
}

/// Our metadata for one provider; its address is our entity id.
#[utoipa::path(get, path = "/v1/auth/saml/{connection}/metadata", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path)),
    responses((status = 200, description = "for the provider to read", body = String,
        content_type = "application/samlmetadata+xml")))]
async fn metadata(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
) -> Result<impl IntoResponse, Problem> {
    let text = service::metadata(&deps, &ctx, id, peer).await?;
    Ok(([(header::CONTENT_TYPE, "application/samlmetadata+xml")], text))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SamlStartQuery {
    /// The S256 challenge (RFC 7636) of a verifier that the page keeps and redeems the code with.
    #[param(min_length = 43, max_length = 43)]
    code_challenge: String,
    /// Where to go afterwards: a path of this host, or an address where the tenant's own page is
    /// (`brand.app_url`) once its domain is verified; `/` if not given.
    #[param(max_length = 1024)]
    return_to: Option<String>,
}

/// The cookie of a login comes back with a form that another site posts, which `Lax` would not let.
fn across(cookie: String) -> String {
    if cookie.contains("; Secure") {
        return cookie.replace("SameSite=Lax", "SameSite=None");
    }
    cookie
}

fn carry(outgoing: &Outgoing, cookie: Option<String>) -> Response {
    match outgoing {
        Outgoing::Redirect(location) => see_other(location, cookie),
        Outgoing::Post(action, fields) => {
            let (page, policy) = page(action, fields);
            let headers = [
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            let mut response = (headers, Html(page)).into_response();
            let cookie = cookie.and_then(|cookie| cookie.parse().ok());
            if let Some(cookie) = cookie {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
    }
}

/// Sends the browser to the identity provider, by a redirect or by a form that sends itself.
#[utoipa::path(get, path = "/v1/auth/saml/{connection}/start", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path), SamlStartQuery),
    responses(
        (status = 200, description = "a page with a form for the provider", body = String,
            content_type = "text/html"),
        (status = 303, description = "to the provider")))]
async fn start(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    Params(query): Params<SamlStartQuery>,
) -> Result<Response, Problem> {
    let begin = Start { return_to: query.return_to.as_deref(), challenge: &query.code_challenge };
    let departure = service::start(&deps, &ctx, id, begin, peer).await?;
    let cookie = across(cookie(&deps, departure.browser.expose(), COOKIE_S));
    Ok(carry(&departure.outgoing, Some(cookie)))
}

/// What a provider has the browser post.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form, which is read by hand")]
struct SamlForm {
    /// A response, in base64.
    #[schema(rename = "SAMLResponse")]
    saml_response: Option<String>,
    /// A logout request, in base64.
    #[schema(rename = "SAMLRequest")]
    saml_request: Option<String>,
    /// What we sent with the request.
    #[schema(rename = "RelayState")]
    relay_state: Option<String>,
}

type Form = Vec<(String, String)>;

/// A field that is there once; twice, two readers would choose differently.
fn single<'a>(form: &'a Form, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut found = form.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str());
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Failure::from(Error::UnknownLogin).into()),
        (found, None) => Ok(found),
    }
}

/// Where the provider has the browser post its response. It goes on to the page that began the
/// login, with `sso_code` in the fragment, or with `sso_error` and a reference for the
/// administrator.
#[utoipa::path(post, path = "/v1/auth/saml/{connection}/acs", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path)),
    request_body(content = SamlForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "to the page that began the login")))]
async fn acs(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    headers: axum::http::HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let message = single(&form, "SAMLResponse")?;
    let message = message.ok_or_else(|| Failure::from(Error::UnknownLogin))?;
    let relay_state = single(&form, "RelayState")?;
    let browser = read_cookie(&deps, &headers);
    let posted = Posted { message, relay_state, browser: browser.as_deref() };
    let location = service::finish(&deps, &ctx, id, posted, peer).await?;
    Ok(see_other(&location, Some(across(cookie(&deps, "", 0)))))
}

/// Ends the sessions that a provider's signed request names.
#[utoipa::path(get, path = "/v1/auth/saml/{connection}/slo", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path)),
    responses((status = 303, description = "back to the provider, with our answer"),
        (status = 400, description = "it is no signed request of the provider")))]
async fn slo_by_redirect(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let outgoing = service::end(&deps, &ctx, id, Incoming::Redirect(&query), peer).await?;
    Ok(carry(&outgoing, None))
}

/// Ends the sessions that a provider's signed request names.
#[utoipa::path(post, path = "/v1/auth/saml/{connection}/slo", tag = "single sign-on",
    security(()), params(("connection" = SsoConnectionId, Path)),
    request_body(content = SamlForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "back to the provider, with our answer")))]
async fn slo_by_form(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    PathId(id): PathId<SsoConnectionId>,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let form: Form = form_urlencoded::parse(&body).into_owned().collect();
    let outgoing = service::end(&deps, &ctx, id, Incoming::Post(&form), peer).await?;
    Ok(carry(&outgoing, None))
}

/// A provider's metadata, as a text or as an address.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct ReadSamlMetadata {
    /// The text.
    #[schema(max_length = 1_048_576)]
    xml: Option<String>,
    /// Where it is published; fetched once, from public hosts only.
    #[schema(max_length = 2048)]
    url: Option<String>,
}

/// What to put into `settings` of a connection.
#[derive(Serialize, ToSchema)]
struct SamlProviderSettings {
    entity_id: String,
    sso_url: String,
    /// Whether it takes requests by a form only.
    sso_by_post: bool,
    #[schema(required = true)]
    slo_url: Option<String>,
    certificates: Vec<String>,
}

/// Reads a provider's metadata into settings. Nothing is kept; look at them before you use them:
/// whoever holds a key to one of the certificates can sign anybody in.
#[utoipa::path(post, path = "/v1/sso-connections/read-saml-metadata", tag = "single sign-on",
    request_body = ReadSamlMetadata,
    responses((status = 200, description = "what it says", body = SamlProviderSettings)))]
async fn read_metadata(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    Valid(body): Valid<ReadSamlMetadata>,
) -> Result<Json<SamlProviderSettings>, Problem> {
    let source = match (&body.xml, &body.url) {
        (Some(text), None) => Source::Text(text),
        (None, Some(url)) => Source::Url(url),
        // Both or none is no metadata; who may not ask learns that first.
        _ => Source::Text(""),
    };
    let peer = service::read_metadata(&deps, &ctx, source).await?;
    Ok(Json(SamlProviderSettings {
        entity_id: peer.entity_id,
        sso_url: peer.sso_url,
        sso_by_post: peer.sso_binding == Binding::Post,
        slo_url: peer.slo_url,
        certificates: peer.certificates,
    }))
}

/// The public half of a new key.
#[derive(Serialize, ToSchema)]
struct SamlKey {
    /// The certificate in PEM; it is in the connection's metadata as well.
    certificate: String,
}

/// Makes a key that signs requests and opens encrypted assertions. The one before it is gone.
#[utoipa::path(post, path = "/v1/sso-connections/{id}/saml-key", tag = "single sign-on",
    params(("id" = SsoConnectionId, Path)),
    responses((status = 201, description = "made", body = SamlKey)))]
async fn make_key(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SsoConnectionId>,
    seen: IfMatch,
) -> Result<impl IntoResponse, Problem> {
    let certificate = service::make_key(&deps, &ctx, id, &seen).await?;
    Ok((StatusCode::CREATED, Json(SamlKey { certificate })))
}
