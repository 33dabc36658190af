//! Room `web`: all routes in one router, with everything around them. The order of the layers is
//! the order of the lines of [`around`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use futures_util::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method};
use http_body_util::Limited;
use misy_core::Code;
use utoipa_axum::router::OpenApiRouter;

use crate::admission::Admission;
use crate::problem::Told;
use crate::rates::{Buckets, Class};
use crate::routes::{Route, Routes};
use crate::turnstile::Turnstile;
use crate::{Kit, Problem, docs, gate, health, observe, openapi, queries, replay, shield, tags};

/// What the layers share.
pub(crate) struct Shared {
    /// What the program gave.
    pub(crate) kit: Kit,
    /// What the reference says of each route.
    pub(crate) routes: Routes,
    /// Who has asked how much.
    pub(crate) buckets: Buckets,
    /// Through which those go whom nobody knows yet.
    pub(crate) turnstile: Turnstile,
}

/// The whole API: the verticals' routes, health, the reference, and the layers around all of them.
pub fn app(api: OpenApiRouter, kit: Kit) -> Router {
    let document = openapi::document(&api);
    let (routes, buckets) = (Routes::read(&document), Buckets::new());
    let shared = Arc::new(Shared { routes, buckets, turnstile: Turnstile::new(), kit });
    let readiness = shared.kit.readiness.clone();
    let ready = move || async move { readiness.answer().await };
    let (router, _) = api.split_for_parts();
    router
        .route("/healthz", routing::get(health::alive))
        .route("/readyz", routing::get(ready))
        .merge(docs::router(&document))
        .fallback(async || Problem::new(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(shared, around))
}

/// One request through all layers, outermost first.
async fn around(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().cloned();
    let route =
        shared.routes.find(template.as_ref().map_or("", MatchedPath::as_str), request.method());
    let kit = &shared.kit;
    if route.public && matches!(route.class, Class::Write | Class::SignIn) {
        shared.turnstile.pass().await;
    }
    let seen = observe::Seen::begin(template, &request, &kit.ambient);
    let known = tags::known_versions(request.method(), request.headers());
    let work = async {
        // Each layer would hold a copy of the room for all that it encloses.
        let answer = Box::pin(inside(&shared, &route, &seen, request, next));
        let timeout_ms = route.timeout_ms.unwrap_or(kit.config.timeout_ms);
        let response = guarded(answer, Duration::from_millis(timeout_ms)).await;
        let response = tags::not_modified(known, response);
        shield::cover(response, kit.config.https)
    };
    seen.watch(work).await
}

/// From the door to the handler. A browser's question beforehand carries no credential and goes no
/// further than the door.
async fn inside(
    shared: &Shared,
    route: &Route,
    seen: &observe::Seen,
    mut request: Request,
    next: Next,
) -> Response {
    let origin = shield::origin(request.headers());
    if is_preflight(request.method(), request.headers()) {
        return gate::preflight(shared, origin.as_deref()).await;
    }
    let limit_bytes = route.body_limit_bytes.unwrap_or(shared.kit.config.body_limit_bytes);
    request.extensions_mut().insert(seen.origin.clone());
    let (admission, verdicts) = gate::admit(shared, route, seen, &mut request).await;
    let refused = gate::refusal(&verdicts);
    let mut response = match refused.map_or_else(|| limit(&mut request, limit_bytes), Err) {
        Err(problem) => problem.into_response(),
        Ok(()) => match refuse_query(route, &admission, &request) {
            Err(problem) => problem.into_response(),
            // Nothing is done there that could be done twice: 404 or 405, whatever the key.
            Ok(()) if !route.described => next.run(request).await,
            Ok(()) => replay::run(shared, &admission, request, next).await,
        },
    };
    crate::rates::tell(&verdicts, &mut response);
    let lacked = response.extensions().get::<Told>().and_then(|told| told.lacked);
    if let (Admission::Tenant(ctx), Some(permission)) = (&admission, lacked) {
        shared.kit.authenticator.lacked(ctx, permission);
    }
    gate::share(shared, &admission, origin.as_deref(), &mut response).await;
    response.extensions_mut().insert(admission);
    response
}

/// Unknown parameters are refused before the handler, but after the question who asks.
fn refuse_query(route: &Route, admission: &Admission, request: &Request) -> Result<(), Problem> {
    let (Some(known), Some(query)) = (&route.query, request.uri().query()) else { return Ok(()) };
    if !route.public && admission.actor().is_none() {
        return Ok(());
    }
    queries::refuse_unknown(query, known)
}

/// Refuses a body that says it is too large, and stops reading one that turns out to be.
fn limit(request: &mut Request, limit_bytes: usize) -> Result<(), Problem> {
    let too_large =
        || Problem::new(Code::TooLarge).with_detail(format!("The limit is {limit_bytes} bytes."));
    if announced_bytes(request.headers()).is_some_and(|bytes| bytes > limit_bytes as u64) {
        return Err(too_large());
    }
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(Limited::new(body, limit_bytes));
    Ok(())
}

/// What the caller says; a lie is caught while reading.
fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A panic or a time-out is an answer too, and what was begun is rolled back.
async fn guarded(answer: impl Future<Output = Response>, patience: Duration) -> Response {
    let caught = std::panic::AssertUnwindSafe(answer).catch_unwind();
    match tokio::time::timeout(patience, caught).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Problem::new(Code::Internal).with_cause(format!("panic: {text}")).into_response()
        }
        Err(_) => Problem::new(Code::Timeout).with_cause("the time was over").into_response(),
    }
}

/// Whether a browser asks beforehand if it may call.
fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key("access-control-request-method")
}
