//! Room `web`: figures for Prometheus, on a listener of their own.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

pub use metrics_exporter_prometheus::PrometheusHandle;

const SECONDS: &str = "misy_http_request_seconds";
const BUCKETS_S: [f64; 12] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Makes this process count; once a process. The handle renders what was counted.
pub fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS_S)?
        .install_recorder()
}

/// What the admin listener serves: `/metrics` and `/healthz`. Never on the listener of the API.
pub fn admin_router(handle: PrometheusHandle) -> Router {
    let render = move || async move {
        handle.run_upkeep();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render())
    };
    Router::new().route("/metrics", get(render)).route("/healthz", get(crate::health::alive))
}

/// Counts one request. Labels come from the routes' templates, so their number is bounded.
pub(crate) fn count(route: &str, method: &Method, status: StatusCode, elapsed: Duration) {
    let method = method_label(method);
    let route = route.to_owned();
    metrics::counter!(
        "misy_http_requests_total",
        "route" => route.clone(), "method" => method, "status" => status.as_str().to_owned()
    )
    .increment(1);
    metrics::histogram!(SECONDS, "route" => route, "method" => method)
        .record(elapsed.as_secs_f64());
}

/// A caller may invent methods; a label may not.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
