//! Room `identity`: `/v1/auth/token`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use misy_core::Code;
use misy_web::{Anyone, Peer, Problem, Raw};
use serde::Serialize;
use serde_json::{Map, Value};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::model::{self, ACCESS_TOKEN, Error};
use super::service::{self, Given};
use crate::sessions::http::device_of;
use crate::{Deps, Error as Failure};

/// The routes of this resource.
pub(crate) fn router(deps: &Arc<Deps>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(exchange)).with_state(Arc::clone(deps))
}

/// An exchange (RFC 8693 section 2.1), as a form or as JSON.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form, which is read by hand")]
struct TokenExchange {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`
    grant_type: String,
    /// The access token that is exchanged.
    #[schema(format = Password)]
    subject_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`
    subject_token_type: String,
    /// The tenant to go to, by slug or id.
    #[schema(example = "acme")]
    audience: String,
    /// `urn:ietf:params:oauth:token-type:access_token`, which is what is given anyway.
    requested_token_type: Option<String>,
    /// `read`, for an operator who only looks.
    scope: Option<String>,
    /// Operators: as which person of the tenant.
    requested_subject: Option<String>,
    /// Operators: why, in 10 to 500 characters. The tenant reads it.
    reason: Option<String>,
    /// Operators: for how many seconds, 900 if not given, 3600 at most.
    expires_in: Option<u32>,
}

/// What is given (RFC 8693 section 2.2.1).
#[derive(Serialize, ToSchema)]
struct ExchangedToken {
    access_token: String,
    issued_token_type: &'static str,
    /// Always `Bearer`.
    token_type: &'static str,
    expires_in: u64,
    /// `read`, if nothing may be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    /// Absent for an operator: the visit ends when the token does.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// Exchanges an access token for one of another tenant: a person's, of a tenant where the same
/// sign-in would have led; an operator's, of any tenant, with a reason and for an hour at most.
#[utoipa::path(post, path = "/v1/auth/token", tag = "session", security(()),
    request_body(content((TokenExchange = "application/x-www-form-urlencoded"),
        (TokenExchange = "application/json"))),
    responses((status = 200, description = "the token", body = ExchangedToken)))]
async fn exchange(
    State(deps): State<Arc<Deps>>,
    Anyone(ctx): Anyone,
    peer: Peer,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<impl IntoResponse, Problem> {
    let wanted = parameters(&headers, &body)?;
    let wanted = model::read(wanted).map_err(oauth)?;
    let given = service::exchange(&deps, &ctx, wanted, device_of(&headers), peer).await;
    let Given { access, refresh, expires_in_s, read_only } =
        given.map_err(|error| match error {
            Failure::Exchange(error) => oauth(error),
            error => error.into(),
        })?;
    let body = ExchangedToken {
        access_token: access.expose().to_owned(),
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: expires_in_s,
        scope: read_only.then_some("read"),
        refresh_token: refresh.map(|refresh| refresh.expose().to_owned()),
    };
    Ok(([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(body)))
}

/// A problem that OAuth clients understand too.
fn oauth(error: Error) -> Problem {
    Problem::from(error).with_oauth_error(error.oauth())
}

/// Reads a form or a JSON object of texts and numbers. A parameter that comes twice is refused
/// (RFC 6749 section 3.2).
fn parameters(headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let mut sent = BTreeMap::new();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        for (name, value) in form_urlencoded::parse(body) {
            if sent.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(oauth(Error::Unknown));
            }
        }
        return Ok(sent);
    }
    if !essence.eq_ignore_ascii_case("application/json") {
        let detail = "The content type has to be `application/x-www-form-urlencoded` or \
                      `application/json`.";
        return Err(Problem::new(Code::UnsupportedMediaType).with_detail(detail));
    }
    let members: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Problem::new(Code::MalformedRequest).with_oauth_error("invalid_request"))?;
    for (name, value) in members {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Null => continue,
            _ => return Err(oauth(Error::Unknown)),
        };
        sent.insert(name, text);
    }
    Ok(sent)
}
