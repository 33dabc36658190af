//! Room `identity`: `/v1/auth/sso/exchange` and the test of a connection.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use misy_core::{Personal, Role, Secret, SsoConnectionId, UserId};
use misy_web::{Anyone, MayUseCookies, PathId, Peer, Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Assertion, Check, Refusal, Who, Yield};
use super::service;
use crate::sessions::http::{Form, SignedIn, TokenPair, device_of, handed_out};
use crate::sso_connections::model::{Connection, Kind};
use crate::{Deps, oidc, saml, sso_connections};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(exchange))
        .routes(routes!(test))
        .routes(routes!(logout))
        .with_state(Arc::clone(deps))
}

/// The cookie that ties a login to a browser. `__Host-` where the API is reached by HTTPS: then no
/// other host of the domain can set it.
pub(crate) fn cookie_name(deps: &Deps) -> &'static str {
    if deps.config.issuer.starts_with("https://") { "__Host-misy_sso" } else { "misy_sso" }
}

/// `Set-Cookie` for as long as a login may take. `Lax`, because the provider sends the browser back
/// by a link.
pub(crate) fn cookie(deps: &Deps, value: &str, seconds: u32) -> String {
    let secure = if deps.config.issuer.starts_with("https://") { "; Secure" } else { "" };
    let name = cookie_name(deps);
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// The value of the login's cookie.
pub(crate) fn read_cookie(deps: &Deps, headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|one| one.split_once('='));
    let name = cookie_name(deps);
    pairs.find(|(one, _)| one.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// Sends a browser on; the answer is not kept and tells nobody where it came from.
pub(crate) fn see_other(location: &str, cookie: Option<String>) -> Response {
    let mut response = (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store")],
    )
        .into_response();
    let cookie = cookie.and_then(|cookie| header::HeaderValue::from_str(&cookie).ok());
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// What the page that a login landed on knows.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct ExchangeSsoCode {
    /// `sso_code` of the page's fragment.
    #[schema(value_type = String, format = Password, max_length = 256)]
    code: Secret,
    /// The verifier of the `code_challenge` that the login was begun with.
    #[schema(value_type = Option<String>, format = Password, max_length = 256)]
    code_verifier: Option<Secret>,
    /// How the session is kept; as tokens, if nothing is said.
    #[schema(nullable = false)]
    session: Option<Form>,
}

/// Exchanges the code that a sign-in through an identity provider ended with for a pair of tokens.
/// It works once, within a minute, and only for whoever began the sign-in.
#[utoipa::path(post, path = "/v1/auth/sso/exchange", tag = "single sign-on", security(()),
    request_body = ExchangeSsoCode,
    responses((status = 200, description = "signed in", body = TokenPair),
        (status = 403, description = "A page of a stranger asks for cookies.")))]
async fn exchange(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    page: MayUseCookies,
    headers: HeaderMap,
    Valid(body): Valid<ExchangeSsoCode>,
) -> Result<Response, Problem> {
    let (code, verifier) = (&body.code, body.code_verifier.as_ref());
    let form = body.session.unwrap_or_default().check(page)?;
    let device = device_of(&headers);
    Ok(handed_out(service::exchange(&deps, &ctx, code, verifier, device, peer).await?, form))
}

/// A sign-in as it might come.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct TestSsoConnection {
    /// Claims or attributes by name, as the provider would send them; `sub` is the subject, of SAML
    /// the name id (`name_id_format` its format). Without them only the connection is looked at.
    claims: Option<Map<String, Value>>,
}

/// What the sign-in would come to.
#[derive(Serialize, ToSchema)]
struct SsoTest {
    /// What was tried at the provider.
    checks: Vec<SsoCheck>,
    /// Who would be signed in, if anybody.
    #[schema(required = true)]
    yields: Option<SsoYield>,
    /// Why nobody would be.
    #[schema(required = true)]
    refused: Option<Refusal>,
    /// What to do about it.
    #[schema(required = true)]
    remedy: Option<&'static str>,
}

/// One thing that was tried.
#[derive(Serialize, ToSchema)]
struct SsoCheck {
    /// What.
    name: &'static str,
    /// Whether it is as it should be.
    ok: bool,
    /// What was found.
    detail: String,
}

/// Who would be signed in.
#[derive(Serialize, ToSchema)]
struct SsoYield {
    /// `null` for somebody who would be added.
    #[schema(required = true)]
    user_id: Option<UserId>,
    /// How they are recognised.
    by: RecognisedBy,
    #[schema(value_type = String)]
    email: Personal<String>,
    #[schema(value_type = String)]
    name: Personal<String>,
    role: Role,
    /// Their groups that the mapping names.
    groups: Vec<String>,
}

/// How a person is recognised.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecognisedBy {
    /// They came with the same subject before.
    Subject,
    /// They have the verified address.
    Email,
    /// They are new and would be added.
    Added,
}

impl From<Yield> for SsoYield {
    fn from(found: Yield) -> Self {
        let Yield { who, role, groups } = found;
        let (user_id, by, email, name) = match who {
            Who::Linked(user) => (Some(user.id), RecognisedBy::Subject, user.email, user.name),
            Who::Found(user) => (Some(user.id), RecognisedBy::Email, user.email, user.name),
            Who::New { email, name } => {
                let email = Personal(email.as_str().to_owned());
                (None, RecognisedBy::Added, email, Personal(name))
            }
        };
        Self { user_id, by, email, name, role, groups }
    }
}

/// What an ID token with these claims would say of the person.
fn claimed(connection: &Connection, claims: &Map<String, Value>) -> Assertion {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let verified = oidc::model::is_email_verified(claims, connection.trusts_email());
    Assertion::read(&connection.rules.attributes, subject, claims, verified)
}

/// Says what a sign-in with these claims would come to. Nothing is changed and nobody signed in.
#[utoipa::path(post, path = "/v1/sso-connections/{id}/test", tag = "single sign-on",
    params(("id" = SsoConnectionId, Path)), request_body = TestSsoConnection,
    responses((status = 200, description = "what it would come to", body = SsoTest)))]
async fn test(
    State(deps): State<Arc<Deps>>,
    Tenant(ctx): Tenant,
    PathId(id): PathId<SsoConnectionId>,
    Valid(body): Valid<TestSsoConnection>,
) -> Result<Json<SsoTest>, Problem> {
    let connection = sso_connections::service::get(&deps, &ctx, id).await?;
    let checks = match connection.kind {
        Kind::Oidc => oidc::service::probe(&deps, &ctx, &connection).await?,
        Kind::Saml => saml::service::probe(&deps, &ctx, &connection).await?,
    };
    let checks = checks.into_iter().map(|Check { name, ok, detail }| SsoCheck { name, ok, detail });
    let mut answer =
        SsoTest { checks: checks.collect(), yields: None, refused: None, remedy: None };
    let Some(claims) = body.claims else { return Ok(Json(answer)) };
    let read = match connection.kind {
        Kind::Oidc => Ok(claimed(&connection, &claims)),
        Kind::Saml => saml::service::rehearse(&connection, &claims)?,
    };
    let comes_to = match read {
        Ok(assertion) => service::preview(&deps, &ctx, &connection, &assertion).await?,
        Err(refusal) => Err(refusal),
    };
    match comes_to {
        Ok(found) => answer.yields = Some(found.into()),
        Err(refusal) => {
            answer.refused = Some(refusal);
            answer.remedy = Some(refusal.remedy());
        }
    }
    Ok(Json(answer))
}

/// Where to be after signing out.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct SsoLogout {
    /// A path of this host, or an address where the tenant's own page is; the provider must know
    /// it.
    #[schema(max_length = 1024)]
    return_to: Option<String>,
}

/// Where to go on.
#[derive(Serialize, ToSchema)]
struct SsoLogoutDone {
    /// Send the browser here to sign out at the identity provider too; `null` if there is nothing
    /// to sign out from.
    #[schema(required = true)]
    logout_url: Option<String>,
}

/// Signs out here and says where to sign out at the identity provider.
#[utoipa::path(post, path = "/v1/auth/sso/logout", tag = "single sign-on",
    request_body = SsoLogout,
    responses((status = 200, description = "signed out here", body = SsoLogoutDone)))]
async fn logout(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    Tenant(inside): Tenant,
    SignedIn(claims): SignedIn,
    Valid(body): Valid<SsoLogout>,
) -> Result<Json<SsoLogoutDone>, Problem> {
    let return_to = body.return_to.as_deref();
    let logout_url = service::log_out(&deps, &ctx, &inside, &claims, return_to).await?;
    Ok(Json(SsoLogoutDone { logout_url }))
}
