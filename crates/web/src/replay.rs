//! Room `web`: `Idempotency-Key`. The first answer to a key is kept in the transaction of its own
//! work and given again to whoever repeats the request.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use misy_core::crypto::{self, Key, Place};
use misy_core::id::TypedId;
use misy_core::{Ambient, Code, TenantId};
use misy_store::idempotency::{self, Answer, Begun, Pending, Scope};
use uuid::Uuid;

use crate::Problem;
use crate::admission::Admission;
use crate::app::Shared;
use crate::bodies::{changes, read_bytes};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const KEPT_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_LANGUAGE, ETAG, LOCATION];
const KEY_VERSION: u32 = 1;

/// Runs the handler, or gives the answer it gave before.
pub(crate) async fn run(
    shared: &Shared,
    admission: &Admission,
    request: Request,
    next: Next,
) -> Response {
    let key = match key(request.method(), request.headers()) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    // Without a good credential nobody owns the key; the handler refuses, or needs no protection.
    let scope = match admission {
        Admission::Tenant(ctx) => Scope::Tenant(ctx.clone()),
        Admission::Operator(ctx) => Scope::Platform(ctx.clone()),
        Admission::Anonymous | Admission::Refused(_) => return next.run(request).await,
    };
    // On the heap, so that requests without a key do not carry the room for it.
    let answer = Box::pin(run_keyed(shared, admission, scope, &key, request, next)).await;
    answer.unwrap_or_else(Problem::into_response)
}

/// A key that cannot be kept is refused rather than ignored: the caller relies on it.
fn key(method: &Method, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = sent.next().filter(|_| changes(method)) else { return Ok(None) };
    let text = first.to_str().unwrap_or_default();
    let good = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good && sent.next().is_none() {
        return Ok(Some(text.to_owned()));
    }
    Err(Problem::new(Code::MalformedRequest).with_detail(
        "`Idempotency-Key` has to be sent once and be 1 to 255 visible ASCII characters.",
    ))
}

/// Decides what the key leads to. The body is read first: it is part of what the key stands for.
async fn run_keyed(
    shared: &Shared,
    admission: &Admission,
    scope: Scope,
    key: &str,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_bytes(body).await?;
    let fingerprint = fingerprint(&parts.method, &parts.uri, &body);
    let seal = Seal::new(shared, admission, key);
    let begun = idempotency::begin(&shared.kit.db, scope, key, fingerprint).await?;
    let pending = match begun {
        Begun::Fresh(pending) => pending,
        Begun::Replay(answer) => return replay(&seal, answer),
        Begun::Mismatch => return Err(Problem::new(Code::IdempotencyMismatch)),
        Begun::InFlight => {
            return Err(Problem::new(Code::IdempotencyInFlight).with_retry_after_s(1));
        }
        Begun::AnswerLost => {
            return Err(Problem::new(Code::Conflict).with_detail(
                "The first request with this key was carried out, but its answer was lost. Read \
                 what it made; do not send it again.",
            ));
        }
    };
    let request = Request::from_parts(parts, Body::from(body));
    finish(&seal, pending, request, next).await
}

/// A failure of ours is not kept: dropping `pending` takes back what was done, so that the same key
/// may be tried again.
async fn finish(
    seal: &Seal<'_>,
    pending: Pending,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let response = pending.run(next.run(request)).await;
    if response.status().is_server_error() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|error| Problem::new(Code::Internal).with_cause(crate::problem::chain(&error)))?;
    let kept = KEPT_HEADERS
        .iter()
        .filter_map(|name| Some((name.as_str(), parts.headers.get(name)?.to_str().ok()?)));
    let answer =
        Answer { status: parts.status.as_u16(), headers: kept.collect(), body: seal.close(&body) };
    pending.finish(answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// The first answer as it was, and a header that says so.
fn replay(seal: &Seal<'_>, answer: Answer) -> Result<Response, Problem> {
    let broken =
        |what: &str| Problem::new(Code::Internal).with_cause(format!("stored answer: {what}"));
    let body = seal.open(&answer.body).ok_or_else(|| broken("it does not open"))?;
    let status = StatusCode::from_u16(answer.status).map_err(|_| broken("its status"))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for name in KEPT_HEADERS {
        let value = answer.headers.get(name.as_str()).and_then(|value| value.as_str());
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Tells one request from another: method, path, query and body, none of which may run into the
/// next.
fn fingerprint(method: &Method, uri: &Uri, body: &[u8]) -> [u8; 32] {
    let target = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    let head = format!("{method} {target}\n");
    crypto::sha256(&[head.as_bytes(), body].concat())
}

/// Where one answer is kept.
struct Seal<'a> {
    /// The installation's key for answers.
    key: &'a Key,
    /// Gives the nonce.
    ambient: &'a Ambient,
    tenant: TenantId,
    /// Stands for the actor and the key.
    row: Uuid,
}

impl<'a> Seal<'a> {
    /// An operator's answers belong to no tenant; the actor and the key name the row.
    fn new(shared: &'a Shared, admission: &Admission, key: &str) -> Self {
        let tenant = admission.tenant().unwrap_or(TenantId::from_uuid(Uuid::nil()));
        let actor = admission.actor().map(|actor| actor.to_string()).unwrap_or_default();
        let digest = crypto::sha256(format!("{actor}\n{key}").as_bytes());
        let row = digest.first_chunk().map_or(Uuid::nil(), |half| Uuid::from_bytes(*half));
        Self { key: &shared.kit.answer_key, ambient: &shared.kit.ambient, tenant, row }
    }

    /// An answer opens only for the tenant, actor and key it was given to.
    fn place(&self) -> Place<'static> {
        Place { tenant: self.tenant, table: "idempotency_keys", column: "body", row: self.row }
    }

    /// Answers may hold a secret that is shown once.
    fn close(&self, body: &[u8]) -> Vec<u8> {
        crypto::seal(self.key, KEY_VERSION, &self.place(), self.ambient.bytes(), body)
    }

    /// `None` if the installation's key was changed since.
    fn open(&self, sealed: &[u8]) -> Option<Bytes> {
        let plain = crypto::open(self.key, &self.place(), sealed).ok()?;
        Some(Bytes::copy_from_slice(&plain))
    }
}
