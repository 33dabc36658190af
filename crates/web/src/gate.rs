//! Room `web`: the door. Who asks, whether they have asked too often, whether their page may.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    AUTHORIZATION, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use misy_core::{Ctx, Misplaced, PlatformCtx, Secret, TenantId};

use crate::admission::{Admission, Refusal};
use crate::app::Shared;
use crate::cookies::{
    ACCESS_COOKIE, MayUseCookies, Page, Presented, is_harmless, page, read_cookie,
};
use crate::observe::Seen;
use crate::rates::{Class, Subject, Verdict, refuse};
use crate::routes::Route;
use crate::visits::Meter;
use crate::{AuthError, Peer, Principal, Problem};

/// Answers a browser that asks beforehand whether a page may call. Which tenant the call will be
/// for is not known yet; its answer is readable only if that tenant allows the page.
pub(crate) async fn preflight(shared: &Shared, origin: Option<&str>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allowed = match origin {
        Some(origin) => allows(shared, None, origin).await,
        None => false,
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    let origin = origin.filter(|_| allowed).and_then(|origin| HeaderValue::from_str(origin).ok());
    if let Some(origin) = origin {
        let fixed = HeaderValue::from_static;
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, fixed("true"));
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, fixed("GET, POST, PUT, PATCH, DELETE"));
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            fixed(
                "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, \
                 X-Request-Id, X-Misy-Tenant, traceparent, baggage",
            ),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, fixed("600"));
    }
    response
}

/// Lets an allowed page of the tenant read the answer.
pub(crate) async fn share(
    shared: &Shared,
    admission: &Admission,
    origin: Option<&str>,
    response: &mut Response,
) {
    let Some(origin) = origin else { return };
    let allowed = allows(shared, admission.tenant(), origin).await;
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Ok(origin) = HeaderValue::from_str(origin)
        && allowed
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, \
                 X-Request-Id",
            ),
        );
    }
}

/// A page that the directory does not name may call, but may not read.
async fn allows(shared: &Shared, tenant: Option<TenantId>, origin: &str) -> bool {
    // A directory that does not answer allows nobody; the request itself will tell why.
    shared.kit.tenants.allows_origin(tenant, origin).await.unwrap_or(false)
}

/// Finds out who asks and takes the request out of their buckets.
pub(crate) async fn admit(
    shared: &Shared,
    route: &Route,
    seen: &Seen,
    request: &mut Request,
) -> (Admission, Vec<Verdict>) {
    let peer = peer(request, shared.kit.config.trusted_proxies);
    request.extensions_mut().insert(peer);
    let mut verdicts = Vec::new();
    let admission = if route.public {
        let allowed = may_use_cookies(shared, None, request.headers()).await;
        request.extensions_mut().insert(MayUseCookies(allowed));
        if route.class == Class::Widget {
            request.extensions_mut().insert(Meter::of(shared));
        }
        Admission::Anonymous
    } else {
        authenticate(shared, seen, peer, request, &mut verdicts).await
    };
    seen.enter(&admission);
    request.extensions_mut().insert(admission.clone());
    if verdicts.is_empty() {
        verdicts = charge(shared, route.class, &admission, peer).await;
    }
    (admission, verdicts)
}

/// The problem of the first bucket that is empty.
pub(crate) fn refusal(verdicts: &[Verdict]) -> Option<Problem> {
    verdicts.iter().find(|verdict| !verdict.allowed).map(refuse)
}

/// A tenant's bucket is not touched by a request that its own credential's bucket refused, so that
/// one noisy program cannot use up what all share.
async fn charge(shared: &Shared, class: Class, admission: &Admission, peer: Peer) -> Vec<Verdict> {
    let tenant = admission.tenant();
    let Some(allowance) = shared.kit.limits.allowance(tenant, class).await else {
        return Vec::new();
    };
    let now = shared.kit.ambient.now();
    let each = admission
        .actor()
        .map_or(Subject::Address(peer.network()), |actor| Subject::Credential(tenant, actor));
    let mut verdicts = vec![shared.buckets.take(each, class, allowance.each, now)];
    let Some(tenant) = tenant.filter(|_| verdicts[0].allowed) else { return verdicts };
    verdicts.push(shared.buckets.take(Subject::Tenant(tenant), class, allowance.tenant, now));
    let is_counted = verdicts[1].allowed && matches!(class, Class::Read | Class::Write);
    if is_counted && let Some(quota) = shared.kit.limits.of_plan(tenant).await {
        // One bucket for reads and writes: the plan speaks of requests.
        let subject = Subject::Plan(tenant, quota.requests);
        verdicts.push(shared.buckets.take(subject, Class::Read, quota, now));
    }
    verdicts
}

/// Once a request. An address that has guessed too often is refused before its credential is read,
/// which costs a look-up and, for a password-like key, a hash.
async fn authenticate(
    shared: &Shared,
    seen: &Seen,
    peer: Peer,
    request: &mut Request,
    verdicts: &mut Vec<Verdict>,
) -> Admission {
    let presented = match presented(request.headers()) {
        Ok(Some(presented)) => presented,
        Ok(None) => return Admission::Anonymous,
        Err(refusal) => return Admission::Refused(Arc::new(refusal)),
    };
    let (quota, now) = (shared.kit.config.rates.bad_credentials, shared.kit.ambient.now());
    let guesses = Subject::BadCredentials(peer.network());
    let before = shared.buckets.look(guesses, Class::SignIn, quota, now);
    if !before.allowed {
        verdicts.push(before);
        return Admission::Anonymous;
    }
    let method = &request.method().clone();
    let entered = match enter(shared, seen, &presented.credential, peer).await {
        Ok(admission) => check_page(shared, admission, &presented, method, request.headers()).await,
        Err(refusal) => Err(refusal),
    };
    match entered {
        Ok(admission) => {
            request.extensions_mut().insert(presented);
            admission
        }
        Err(refusal) => {
            if matches!(refusal, Refusal::Credential(AuthError::Invalid)) {
                shared.buckets.take(guesses, Class::SignIn, quota, now);
            }
            Admission::Refused(Arc::new(refusal))
        }
    }
}

/// What was sent to be let in: a header, or without one a cookie. Two of a kind are refused.
fn presented(headers: &HeaderMap) -> Result<Option<Presented>, Refusal> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = sent.next() else {
        let cookie = read_cookie(headers, ACCESS_COOKIE);
        return Ok(cookie.map(|credential| Presented { credential, by_cookie: true }));
    };
    let bearer = bearer(first).filter(|_| sent.next().is_none());
    let credential = bearer.ok_or(Refusal::Malformed)?;
    Ok(Some(Presented { credential, by_cookie: false }))
}

/// A browser sends a cookie by itself, whoever wrote the page. What changes something is taken from
/// pages of our own origin and from those that the tenant allows.
async fn check_page(
    shared: &Shared,
    admission: Admission,
    presented: &Presented,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Admission, Refusal> {
    if !presented.by_cookie || is_harmless(method) {
        return Ok(admission);
    }
    if may_use_cookies(shared, admission.tenant(), headers).await {
        return Ok(admission);
    }
    Err(Refusal::CrossSite)
}

/// Whether cookies may be used or set for the page that calls: for the tenant, or, before one is
/// known, for any.
async fn may_use_cookies(shared: &Shared, tenant: Option<TenantId>, headers: &HeaderMap) -> bool {
    match page(headers) {
        Page::Own => true,
        Page::Foreign(origin) => allows(shared, tenant, &origin).await,
        Page::Unknown => false,
    }
}

/// A good credential of a tenant that is not active lets nobody in, and neither does one that comes
/// with the name of another tenant.
async fn enter(
    shared: &Shared,
    seen: &Seen,
    bearer: &Secret,
    peer: Peer,
) -> Result<Admission, Refusal> {
    let kit = &shared.kit;
    let principal = kit.authenticator.authenticate(bearer, peer).await;
    let (request, trace) = (seen.origin.id.clone(), seen.origin.trace);
    let claim = seen.origin.claim;
    match principal.map_err(Refusal::Credential)? {
        Principal::Operator { actor, grants } => {
            claim.check_none().map_err(Refusal::Misplaced)?;
            Ok(Admission::Operator(PlatformCtx::mint(actor, grants, request, trace)))
        }
        Principal::Tenant { tenant, actor, grants, proof } => {
            claim.check(tenant).map_err(Refusal::Misplaced)?;
            if !kit.tenants.is_active(tenant).await.map_err(Refusal::Directory)? {
                return Err(Refusal::Misplaced(Misplaced::NotActive));
            }
            let ctx = Ctx::mint(tenant, actor, grants, request, trace).proven(proof);
            Ok(Admission::Tenant(ctx))
        }
    }
}

/// The credential of `Authorization: Bearer ...` (RFC 6750 section 2.1), and of no other place.
pub(crate) fn bearer(header: &HeaderValue) -> Option<Secret> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain && token.len() <= 8_192)
        .then(|| Secret::new(token))
}

/// The address behind so many proxies of ours; what is in front of them could be anybody's
/// invention.
fn peer(request: &Request, trusted_proxies: u8) -> Peer {
    let socket = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let direct = socket.map_or(Peer::UNKNOWN, |ConnectInfo(address)| Peer(address.ip()));
    let Some(hops_behind) = trusted_proxies.checked_sub(1) else { return direct };
    let values = request.headers().get_all("x-forwarded-for").iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = texts.flat_map(|text| text.split(',')).map(str::trim).collect();
    let hop = hops.iter().rev().nth(usize::from(hops_behind));
    hop.and_then(|text| text.parse::<IpAddr>().ok()).map_or(direct, Peer)
}
