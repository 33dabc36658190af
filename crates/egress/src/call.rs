//! Room `egress`: one call and its answer.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use misy_core::{Secret, TenantId};
use url::Url;

use crate::Error;

/// One call to make.
pub struct Call {
    /// For whom.
    pub tenant: TenantId,
    /// Through which of the tenant's connections: a channel account, an endpoint, a connector.
    /// Limits and breaker belong to (tenant, connection, host).
    pub connection: String,
    /// The method.
    pub method: Method,
    /// Where; its query may hold secrets and is never logged.
    pub url: Url,
    /// The path with names instead of ids, for the record: `/{version}/{account}/messages`.
    pub path_template: &'static str,
    /// Headers; those with secrets are marked sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Another deadline than the operator's, in milliseconds; it can be four times as long at most.
    pub deadline_ms: Option<u64>,
    /// Another limit of the answer's body, in bytes.
    pub max_body_bytes: Option<usize>,
    /// Whether the target may be a private host where the operator's configuration allows them:
    /// true for addresses that an administrator configured, false for those that came with data.
    pub private_hosts_allowed: bool,
    /// How to read the other side's own way of saying "slower" from an answer. `Retry-After` is
    /// understood without.
    pub pacing: Option<fn(&Answer) -> Pacing>,
}

/// What the other side says of our pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pacing {
    /// Send nothing for so long, in milliseconds.
    pub pause_ms: Option<u64>,
    /// How much of our allowance is used, in per cent. From 80 on, calls are spaced out.
    pub used_percent: Option<u32>,
}

impl Call {
    /// A call without body or headers.
    pub fn new(
        tenant: TenantId,
        connection: impl fmt::Display,
        method: Method,
        url: &str,
        path_template: &'static str,
    ) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|fault| Error::Refused(format!("bad URL: {fault}")))?;
        Ok(Self {
            tenant,
            connection: connection.to_string(),
            method,
            url,
            path_template,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            deadline_ms: None,
            max_body_bytes: None,
            private_hosts_allowed: false,
            pacing: None,
        })
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds a header with a secret, for example `authorization` with `Bearer ` before it. A secret
    /// that no header can carry (a line break in it) is refused.
    pub fn secret_header(
        mut self,
        name: &str,
        prefix: &str,
        secret: &Secret,
    ) -> Result<Self, Error> {
        let bad = || Error::Refused(format!("the header {name} cannot carry this credential"));
        let name = HeaderName::from_str(name).map_err(|_| bad())?;
        let text = Secret::new(format!("{prefix}{}", secret.expose()));
        let mut value = HeaderValue::from_str(text.expose()).map_err(|_| bad())?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(self)
    }

    /// Sets a body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }
}

/// Shows where a call goes, never what it carries.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("path", &self.path_template)
            .finish_non_exhaustive()
    }
}

/// A complete answer, of whatever status.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, complete.
    pub body: Bytes,
    /// From the first byte out to the last byte in, in milliseconds.
    pub elapsed_ms: u64,
    /// What `Retry-After` says (RFC 9110 section 10.2.3), in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

/// Shows what kind of answer it is, never what it says.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .field("elapsed_ms", &self.elapsed_ms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use misy_core::id::TypedId;

    fn call(url: &str) -> Result<Call, Error> {
        let tenant =
            TenantId::from_uuid("0199c0de-0000-7000-8000-000000000001".parse().expect("id"));
        Call::new(tenant, "cha_1", Method::POST, url, "/{version}/messages")
    }

    #[test]
    fn neither_url_nor_credential_is_printed() {
        let secret = Secret::new("hunter2");
        let call = call("https://example.org/v1/4915551234?access_token=hunter2")
            .and_then(|call| call.secret_header("authorization", "Bearer ", &secret))
            .expect("a plain call")
            .body("text/plain", "hunter2");
        let shown = format!("{call:?} {:?}", call.headers);
        assert!(!shown.contains("hunter2") && !shown.contains("4915551234"), "{shown}");
    }

    #[test]
    fn a_credential_with_a_line_break_is_refused() {
        let call = call("https://example.org/").expect("a plain call");
        let refused = call.secret_header("authorization", "Bearer ", &Secret::new("a\r\nb: c"));
        assert!(matches!(refused, Err(Error::Refused(_))));
    }

    #[test]
    fn a_text_that_is_no_url_is_refused() {
        assert!(matches!(call("not a url"), Err(Error::Refused(_))));
    }
}
