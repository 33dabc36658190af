//! Room `identity`: requests and answers in the forms of SCIM: its media type, its error bodies.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use misy_core::{Code, Ctx, Public};
use misy_web::{IfMatch, Problem, Raw, Tenant};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::scim::Error as ScimError;
use crate::scim::model::queries::Parameters;
use crate::scim::service::enter;

/// The media type (RFC 7644 section 8.1).
pub(super) const SCIM_JSON: &str = "application/scim+json";

/// Who asks: a program of a tenant. Refused in the form of SCIM.
pub(super) struct Directory(pub(super) Ctx);

impl<S: Sync> FromRequestParts<S> for Directory {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Tenant(ctx) = Tenant::from_request_parts(parts, state).await?;
        // Before anything of the request is read; the services ask again.
        enter(&ctx)?;
        Ok(Self(ctx))
    }
}

/// The version that a writer saw.
pub(super) struct Seen(pub(super) IfMatch);

impl<S: Sync> FromRequestParts<S> for Seen {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Ok(Self(IfMatch::from_request_parts(parts, state).await?))
    }
}

/// An id in the path; one of no form of ours is an id of nothing.
pub(super) fn id<I: std::str::FromStr>(text: &str) -> Result<I, Refusal> {
    text.parse().map_err(|_| ScimError::NotFound.into())
}

/// The parameters of the query.
pub(super) struct Asked(pub(super) Parameters);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let query = axum::extract::RawQuery(parts.uri.query().map(str::to_owned));
        let text = query.0.unwrap_or_default();
        let uri = format!("/?{text}").parse().unwrap_or_default();
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
        let pairs = pairs.map_err(|_| ScimError::Syntax("the query is not encoded".to_owned()))?.0;
        let members = pairs.into_iter().map(|(name, value)| (name, Value::String(value)));
        Ok(Self(members.collect::<Map<_, _>>()))
    }
}

/// A JSON body, of either media type.
pub(super) struct Document(pub(super) Value);

impl<S: Sync> FromRequest<S> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let sent = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = sent.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        let known = [SCIM_JSON, "application/json"];
        if !known.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
            return Err(Problem::new(Code::UnsupportedMediaType).into());
        }
        let Raw(bytes) = Raw::from_request(request, state).await?;
        let read = serde_json::from_slice(&bytes);
        let value = read.map_err(|_| ScimError::Syntax("the body is not JSON".to_owned()))?;
        Ok(Self(value))
    }
}

/// A resource or a list.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    /// With 200.
    pub(super) fn of(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let text = |pointer: &str| self.body.pointer(pointer).and_then(Value::as_str);
        let header = |pointer: &str| HeaderValue::from_str(text(pointer)?).ok();
        let (tag, place) = (header("/meta/version"), header("/meta/location"));
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON));
        tag.and_then(|tag| headers.insert(ETAG, tag));
        if self.status == StatusCode::CREATED {
            place.and_then(|place| headers.insert(LOCATION, place));
        }
        response
    }
}

/// A refusal in the form of RFC 7644 section 3.12, with the headers of any other of ours.
#[derive(Debug)]
pub(super) struct Refusal(Box<Refused>);

#[derive(Debug)]
struct Refused {
    problem: Problem,
    status: Option<StatusCode>,
    scim_type: Option<&'static str>,
    detail: Option<String>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Refused { problem, status: None, scim_type: None, detail: None }))
    }
}

impl From<ScimError> for Refusal {
    fn from(error: ScimError) -> Self {
        Self::from(Error::from(error))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (mut status, mut scim_type) = (None, None);
        if let Error::Scim(error) = &error {
            status = StatusCode::from_u16(error.status()).ok();
            scim_type = error.scim_type();
        }
        let detail = error.detail();
        Self(Box::new(Refused { status, scim_type, detail, problem: error.into() }))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refused { problem, status, scim_type, detail } = *self.0;
        let detail = detail.unwrap_or_else(|| problem.code().help().to_owned());
        let mut response = problem.into_response();
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        let status = response.status().as_u16();
        let own = status >= 500 && status != 501;
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": status.to_string(),
            "detail": if own { "It was logged and is not your fault." } else { &detail },
        });
        if let Some(word) = scim_type {
            body["scimType"] = json!(word);
        }
        *response.body_mut() = Body::from(body.to_string());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON));
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        response
    }
}
