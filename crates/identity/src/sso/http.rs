//! Room `identity`: `/v1/auth/sso/exchange` and the test of a connection.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use misy_core::{Personal, Role, Secret, SsoConnectionId, UserId};
use misy_web::{Anyone, PathId, Peer, Problem, Tenant, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{Assertion, Refusal, Who, Yield};
use super::service;
use crate::sessions::http::{TokenPair, device_of, handed_out};
use crate::{Deps, sso_connections};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(exchange))
        .routes(routes!(test))
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
}

/// Exchanges the code that a sign-in through an identity provider ended with for a pair of tokens.
/// It works once, within a minute, and only for whoever began the sign-in.
#[utoipa::path(post, path = "/v1/auth/sso/exchange", tag = "single sign-on", security(()),
    request_body = ExchangeSsoCode,
    responses((status = 200, description = "signed in", body = TokenPair)))]
async fn exchange(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    headers: HeaderMap,
    Valid(body): Valid<ExchangeSsoCode>,
) -> Result<impl IntoResponse, Problem> {
    let (code, verifier) = (&body.code, body.code_verifier.as_ref());
    let device = device_of(&headers);
    Ok(handed_out(service::exchange(&deps, &ctx, code, verifier, device, peer).await?))
}

/// A sign-in as it might come.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
struct TestSsoConnection {
    /// Claims or attributes by name, as the provider would send them; `sub` is the subject.
    claims: Map<String, Value>,
}

/// What the sign-in would come to.
#[derive(Serialize, ToSchema)]
struct SsoTest {
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
    let subject = body.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let verified = body.claims.get("email_verified").and_then(Value::as_bool);
    let verified = verified.unwrap_or_else(|| connection.trusts_email());
    let names = &connection.rules.attributes;
    let assertion = Assertion::read(names, subject, &body.claims, verified);
    let outcome = service::preview(&deps, &ctx, &connection, &assertion).await?;
    Ok(Json(match outcome {
        Ok(found) => SsoTest { yields: Some(found.into()), refused: None, remedy: None },
        Err(refusal) => {
            SsoTest { yields: None, refused: Some(refusal), remedy: Some(refusal.remedy()) }
        }
    }))
}
