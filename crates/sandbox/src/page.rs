//! Room `sandbox`: the page on which a person plays a customer. One file, nothing fetched from
//! elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;
use data_encoding::BASE64;
use misy_core::crypto;

use crate::engine::Engine;

const PAGE: &str = include_str!("page.html");
const SINKS: &str = include_str!("sinks.html");

/// The page at `/`, and the one that shows what sinks got.
pub(crate) fn router() -> Router<Arc<Engine>> {
    Router::new()
        .route("/", get(async || show(PAGE)))
        .route("/sinks", get(async || show(SINKS)))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
}

/// A policy that allows exactly the style and the script that are in the page.
fn policy(page: &str) -> String {
    let hash = |open: &str, close: &str| {
        let inside = page.split_once(open).and_then(|(_, rest)| rest.split_once(close));
        let digest = crypto::sha256(inside.map_or("", |(inside, _)| inside).as_bytes());
        format!("'sha256-{}'", BASE64.encode(&digest))
    };
    format!(
        "default-src 'none'; style-src {}; script-src {}; img-src 'self' data:; media-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("<style>", "</style>"),
        hash("<script>", "</script>"),
    )
}

/// A page with the strictest headers that it can live with.
fn show(page: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, String); 5] = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy(page)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, page)
}
