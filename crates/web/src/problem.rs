//! Room `web`: every refusal and failure as `application/problem+json`
//! (RFC 9457, <https://www.rfc-editor.org/rfc/rfc9457>).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use misy_core::error::Fault;
use misy_core::{Code, Permission, Public};
use serde::Serialize;

use crate::request;

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What a handler answers instead of success. `?` makes it from any [`Public`] error.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    faults: Vec<Fault>,
    /// Otherwise a second, where waiting makes sense at all.
    retry_after_s: Option<u32>,
    /// Of `WWW-Authenticate`, if it is a 401.
    challenge: &'static str,
    /// What only the log learns.
    cause: Option<String>,
    /// The code of RFC 6749 section 5.2, for what OAuth clients ask.
    oauth: Option<&'static str>,
}

impl Problem {
    /// A problem of the catalogue, with its help as the detail.
    pub const fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            faults: Vec::new(),
            retry_after_s: None,
            challenge: "Bearer",
            cause: None,
            oauth: None,
        }
    }

    /// With `error` and `error_description` as OAuth clients read them (RFC 6749 section 5.2), as
    /// members beside those of a problem.
    #[must_use]
    pub const fn with_oauth_error(mut self, error: &'static str) -> Self {
        self.oauth = Some(error);
        self
    }

    /// With one sentence about this occurrence, safe to show to the caller.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With every fault of the content.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// With the seconds after which a repetition makes sense.
    #[must_use]
    pub const fn with_retry_after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Says that a token was sent and is not good (RFC 6750 section 3.1).
    #[must_use]
    pub(crate) const fn with_invalid_token(mut self) -> Self {
        self.challenge = "Bearer error=\"invalid_token\"";
        self
    }

    /// With what is written to the log and nowhere else.
    #[must_use]
    pub(crate) fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Its place in the catalogue.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Every fault of the content.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The catalogue's test holds every status in range.
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn said(&self) -> String {
        self.detail.clone().unwrap_or_else(|| self.code.help().to_owned())
    }

    /// The body, which names the request that is being answered.
    pub(crate) fn document(&self) -> Document {
        let request = request::current_id();
        Document {
            kind: format!("/docs/errors#{}", self.code.slug()),
            title: self.code.title().to_owned(),
            status: self.code.status(),
            detail: self.said(),
            instance: request.map(|id| format!("urn:misy:request:{id}")),
            code: self.code.slug().to_owned(),
            errors: self.faults.clone(),
            error: self.oauth,
            error_description: self.oauth.map(|_| self.said()),
        }
    }
}

/// Only the log learns what stood behind a failure of ours.
impl<E: Public> From<E> for Problem {
    fn from(error: E) -> Self {
        let code = error.code();
        let own = code.status() >= 500;
        Self {
            code,
            detail: error.detail().filter(|_| !own),
            faults: error.faults(),
            retry_after_s: error.retry_after_s(),
            challenge: "Bearer",
            cause: own.then(|| chain(&error)),
            oauth: None,
        }
    }
}

/// An error and all its sources in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// A problem as it is sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// Where this kind of problem is explained.
    #[serde(rename = "type")]
    #[schema(example = "/docs/errors#request.invalid")]
    pub(crate) kind: String,
    /// The same for every occurrence.
    pub(crate) title: String,
    /// The HTTP status once more.
    pub(crate) status: u16,
    /// What happened this time, or what to do about it.
    pub(crate) detail: String,
    /// Names the request; give it to the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// The stable name of this kind of problem.
    #[schema(example = "request.invalid")]
    pub(crate) code: String,
    /// Every fault of the content.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<Fault>,
    /// The code of RFC 6749, where an OAuth client asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'static str>,
    /// `detail` once more, where an OAuth client asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_description: Option<String>,
}

/// Rides on a response for the canonical log line.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Its place in the catalogue.
    pub(crate) code: Code,
    /// What only the log learns.
    pub(crate) cause: Option<String>,
    /// What a role would have had to grant.
    pub(crate) lacked: Option<Permission>,
}

/// The permission that a refusal of `core::ctx::Denied` names; rooms hand it on as text.
fn lacked(code: Code, detail: Option<&str>) -> Option<Permission> {
    let detail = detail.filter(|_| code == Code::PermissionDenied)?;
    detail.strip_prefix("This needs the permission `")?.strip_suffix("`.")?.parse().ok()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
        }
        let patience = self.retry_after_s.or(matches!(self.code.status(), 429 | 503).then_some(1));
        if let Some(seconds) = patience {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let lacked = lacked(self.code, self.detail.as_deref());
        response.extensions_mut().insert(Told { code: self.code, cause: self.cause, lacked });
        response
    }
}

#[cfg(test)]
mod tests {
    use misy_core::ctx::Denied;

    use super::*;

    #[test]
    fn what_was_lacking_is_read_from_what_a_refusal_says() {
        for permission in Permission::ALL.iter().copied() {
            let detail = Denied { permission }.detail();
            assert_eq!(lacked(Code::PermissionDenied, detail.as_deref()), Some(permission));
            assert_eq!(lacked(Code::NotFound, detail.as_deref()), None);
        }
        assert_eq!(lacked(Code::PermissionDenied, Some("Forbidden by: `user.manage`.")), None);
    }
}
