//! Room `identity`: how a session is kept by whoever has it, as tokens or in cookies.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use misy_core::SessionId;
use misy_web::{
    ACCESS_COOKIE, Caller, MayUseCookies, Presented, Problem, REFRESH_COOKIE, cookie, no_cookies,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::no_session;
use crate::sessions::model::Pair;
use crate::tokens::Claims;
use crate::tokens::model::looks_like_token;
use crate::{Deps, authentication};

/// Longest `User-Agent` that is kept, in characters.
const DEVICE_CHARS_MAX: usize = 200;

/// A person with a session: an access token that was let in.
pub(crate) struct SignedIn(pub(crate) Claims);

impl FromRequestParts<Arc<Deps>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, deps: &Arc<Deps>) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, deps).await?;
        let Presented { credential, .. } = Presented::from_request_parts(parts, deps).await?;
        if !looks_like_token(credential.expose()) {
            return Err(no_session());
        }
        Ok(Self(authentication::verify(deps, &credential).await?))
    }
}

/// What the program that calls says it is, as far as it is kept.
pub(crate) fn device_of(headers: &HeaderMap) -> Option<String> {
    let device = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    device.map(|agent| agent.chars().take(DEVICE_CHARS_MAX).collect())
}

/// How a session is kept by whoever signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SessionForm)]
pub(crate) enum Form {
    /// As tokens in the answer, for programs.
    #[default]
    Tokens,
    /// In cookies that scripts cannot read, for browsers.
    Cookie,
}

impl Form {
    /// Cookies are set for pages of our own and of those that a tenant allows, so that no stranger
    /// signs somebody in unnoticed.
    pub(crate) fn check(self, page: MayUseCookies) -> Result<Self, Problem> {
        if self == Self::Cookie {
            page.require()?;
        }
        Ok(self)
    }

    /// Goes on as the request came.
    pub(super) fn of(presented: &Presented) -> Self {
        if presented.by_cookie { Self::Cookie } else { Self::Tokens }
    }
}

/// A session that has begun or goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenPair {
    /// Send it as `Authorization: Bearer`. Absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// Always `Bearer`; absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token_type: Option<&'static str>,
    /// How long the access token is valid, in seconds.
    expires_in: u64,
    /// Exchange it for the next pair at `POST /v1/auth/refresh`. It works once. Absent if it is in
    /// a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    session_id: SessionId,
    /// The slug of the tenant that was signed in to; `null` for an operator, and on a refresh.
    #[schema(required = true)]
    tenant: Option<String>,
    /// Whether the role needs a second factor that this session has not shown: until it has, one
    /// may only set it up (`POST /v1/auth/mfa/totp`) or show it (`POST /v1/auth/mfa/verify`).
    second_factor_needed: bool,
}

/// The answer to whoever has signed in, as tokens or as cookies.
pub(crate) fn handed_out(pair: Pair, form: Form) -> Response {
    let tokens = form == Form::Tokens;
    let body = TokenPair {
        access_token: tokens.then(|| pair.access.expose().to_owned()),
        token_type: tokens.then_some("Bearer"),
        expires_in: pair.expires_in_s,
        refresh_token: tokens.then(|| pair.refresh.expose().to_owned()),
        session_id: pair.session,
        tenant: pair.slug,
        second_factor_needed: pair.limited,
    };
    let mut response = ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response();
    if form == Form::Cookie {
        let access = cookie(ACCESS_COOKIE, &pair.access, pair.expires_in_s);
        let refresh = cookie(REFRESH_COOKIE, &pair.refresh, pair.refresh_in_s);
        for cookie in [access, refresh].into_iter().flatten() {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// The answer to whoever has signed out: a browser forgets its cookies.
pub(super) fn signed_out(presented: &Presented) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if presented.by_cookie {
        for cookie in no_cookies() {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}
