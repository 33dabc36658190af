//! Room `web`: headers that keep browsers from harm, and problems in the place of bare error texts.

use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use misy_core::Code;

use crate::Problem;
use crate::problem::Told;

/// What every answer carries unless it has its own.
const HEADERS: [(HeaderName, &str); 8] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// The origin of the page that calls, if a browser page does.
pub(crate) fn origin(headers: &HeaderMap) -> Option<String> {
    headers.get(ORIGIN)?.to_str().ok().map(str::to_owned)
}

/// The answer as it leaves.
pub(crate) fn cover(response: Response, https: bool) -> Response {
    let mut response = as_problem(response);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if https {
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

/// An error that the framework answered with a bare text becomes a problem; its other headers stay.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || response.extensions().get::<Told>().is_some() {
        return response;
    }
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !(kind.is_empty() || kind.starts_with(b"text/plain")) {
        return response;
    }
    let mut problem = problem_of(status).into_response();
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            problem.headers_mut().append(name.clone(), value.clone());
        }
    }
    let admission = response.extensions().get::<crate::admission::Admission>().cloned();
    admission.map(|admission| problem.extensions_mut().insert(admission));
    problem
}

/// The general code of a status; what has a more special one is answered by a handler of ours.
fn problem_of(status: StatusCode) -> Problem {
    let general = [
        Code::MalformedRequest,
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::Conflict,
        Code::Stale,
        Code::TooLarge,
        Code::UnsupportedMediaType,
        Code::Invalid,
        Code::RateLimited,
        Code::Unavailable,
        Code::Timeout,
    ];
    let found = general.into_iter().find(|code| code.status() == status.as_u16());
    match found {
        Some(code) => Problem::new(code),
        None if status.is_client_error() => Problem::new(Code::MalformedRequest),
        None => Problem::new(Code::Internal).with_cause(format!("answered {status} bare")),
    }
}
