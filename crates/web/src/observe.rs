//! Room `web`: one canonical line and two figures a request. Never a query string, a body, a token
//! or an address.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode};
use http_body::Body as _;
use misy_core::Ambient;
use misy_store::meter::Meter;
use misy_trace::spans;
use tracing::{Instrument, Span};

use crate::admission::Admission;
use crate::metrics;
use crate::problem::Told;
use crate::request::{Origin, REQUEST_ID};

/// What a request is called where its path has no route.
const UNMATCHED: &str = "unmatched";

/// A request that is being watched.
pub(crate) struct Seen {
    /// Its id and trace.
    pub(crate) origin: Origin,
    /// May be invented; see [`metrics::method_label`].
    method: Method,
    /// The template, which has no id in it.
    route: Option<MatchedPath>,
    /// Elapsed time is no time of day, so it needs no clock of the program.
    began: Instant,
    /// What it asks of the database.
    meter: Arc<Meter>,
    /// Names request and tenant on every line that is written meanwhile, at whatever level.
    span: Span,
}

impl Seen {
    /// Starts the watch; names the request for everything that answers it.
    pub(crate) fn begin(route: Option<MatchedPath>, request: &Request, ambient: &Ambient) -> Self {
        let (origin, span) = Origin::read(request.headers(), ambient);
        Self {
            span,
            origin,
            method: request.method().clone(),
            route,
            began: Instant::now(),
            meter: Arc::default(),
        }
    }

    /// Notes who was let in.
    pub(crate) fn enter(&self, admission: &Admission) {
        if let Some(tenant) = admission.tenant() {
            self.span.record("tenant", tracing::field::display(tenant));
        }
    }

    /// Runs the request's work and reports it.
    pub(crate) async fn watch(&self, work: impl Future<Output = Response>) -> Response {
        let measured = Arc::clone(&self.meter).measure(work);
        let mut response = self.origin.scope(measured).instrument(self.span.clone()).await;
        if let Ok(id) = HeaderValue::from_str(self.origin.id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.span.in_scope(|| self.report(&response));
        response
    }

    /// What a trace shows of a request: its template, never its path.
    fn trace(&self, route: &str, status: StatusCode) {
        let method = metrics::method_label(&self.method);
        spans::note(&self.span, "http.request.method", method);
        spans::note(&self.span, "http.route", route.to_owned());
        spans::note(&self.span, "http.response.status_code", i64::from(status.as_u16()));
        spans::rename(&self.span, || format!("{method} {route}"));
        if status.is_server_error() {
            spans::fail(&self.span);
        }
    }

    /// The one place where a failure's cause is written.
    fn report(&self, response: &Response) {
        let elapsed = self.began.elapsed();
        let status = response.status();
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        metrics::count(route, &self.method, status, elapsed);
        self.trace(route, status);
        let told = response.extensions().get::<Told>();
        let admission = response.extensions().get::<Admission>();
        let text = |value: Option<String>| value.unwrap_or_default();
        let trace_id = format!("{:032x}", self.origin.trace.trace_id);
        if let Some(cause) = told.and_then(|told| told.cause.as_deref()) {
            tracing::error!(request_id = %self.origin.id, trace_id, route, cause, "request failed");
        }
        tracing::info!(
            method = metrics::method_label(&self.method),
            route,
            status = status.as_u16(),
            elapsed_ms = elapsed.as_secs_f64() * 1e3,
            tenant = text(admission.and_then(Admission::tenant).map(|id| id.to_string())),
            actor = text(admission.and_then(Admission::actor).map(|actor| actor.to_string())),
            request_id = %self.origin.id,
            trace_id,
            queries = self.meter.queries(),
            rows = self.meter.rows(),
            bytes = response.body().size_hint().exact().unwrap_or_default(),
            code = told.map_or("", |told| told.code.slug()),
            "request"
        );
    }
}
