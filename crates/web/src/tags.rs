//! Room `web`: entity tags. A reader that has the newest version gets 304, a writer that has not
//! gets 412 (RFC 9110 section 13).

use std::fmt;

use axum::Json;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use misy_core::{Code, Public, Timestamp};
use serde::Serialize;

use crate::Problem;

/// Names one version of an object; strong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl From<i64> for Tag {
    /// From a version number.
    fn from(version: i64) -> Self {
        Self(format!("\"v{version}\""))
    }
}

impl From<Timestamp> for Tag {
    /// From the time of the last change, in microseconds, as the database keeps it.
    fn from(changed_at: Timestamp) -> Self {
        Self(format!("\"t{:x}\"", changed_at.as_microsecond()))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A single object as JSON with its `ETag`.
#[derive(Debug, Clone)]
pub struct Tagged<T> {
    /// Its version.
    pub tag: Tag,
    /// The object.
    pub body: T,
}

impl<T> Tagged<T> {
    /// From the object and its version number or time of change.
    pub fn new(version: impl Into<Tag>, body: T) -> Self {
        Self { tag: version.into(), body }
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let tag = HeaderValue::from_str(&self.tag.0);
        let mut response = Json(self.body).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

/// The versions that a writer says it has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// The header is absent: the last write wins.
    Any,
    /// `*`: whatever version, but it must exist, which the handler's 404 says.
    Existing,
    /// One of these, compared strongly.
    Tags(Vec<String>),
}

/// The version that a writer saw is no longer the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the object was changed since it was read")]
pub struct Stale;

impl Public for Stale {
    fn code(&self) -> Code {
        Code::Stale
    }
}

impl IfMatch {
    /// Refuses unless the newest version is one that the writer has seen.
    pub fn check(&self, newest: impl Into<Tag>) -> Result<(), Stale> {
        let newest: Tag = newest.into();
        match self {
            Self::Any | Self::Existing => Ok(()),
            Self::Tags(tags) if tags.contains(&newest.0) => Ok(()),
            Self::Tags(_) => Err(Stale),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(listed) = list(&parts.headers, &IF_MATCH) else { return Ok(Self::Any) };
        if listed == ["*"] {
            return Ok(Self::Existing);
        }
        let well_formed = |tag: &String| {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"')
        };
        if !listed.iter().all(well_formed) {
            return Err(Problem::new(Code::MalformedRequest)
                .with_detail("`If-Match` has to be `*` or a list of quoted entity tags."));
        }
        Ok(Self::Tags(listed))
    }
}

/// The elements of a list header; `None` if it is absent. Our tags hold no comma.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.map(|value| value.to_str().unwrap_or_default());
    let elements = texts.flat_map(|text| text.split(',')).map(|one| one.trim().to_owned());
    Some(elements.filter(|one| !one.is_empty()).collect())
}

/// What a reader has already, to be compared when the answer is known.
pub(crate) fn known_versions(method: &Method, headers: &HeaderMap) -> Option<Vec<String>> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    list(headers, &IF_NONE_MATCH)
}

/// Replaces an answer that the reader has already by 304.
pub(crate) fn not_modified(known: Option<Vec<String>>, response: Response) -> Response {
    let Some(known) = known.filter(|_| response.status() == StatusCode::OK) else {
        return response;
    };
    let Some(tag) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return response;
    };
    let weak = |one: &String| one.strip_prefix("W/").unwrap_or(one) == tag;
    if !known.iter().any(|one| one == "*" || weak(one)) {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}
