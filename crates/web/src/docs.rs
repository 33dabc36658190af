//! Room `web`: the reference for people: `/docs`, `/docs/errors`, and `/openapi.json` for programs.

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use serde_json::Value;

pub(crate) fn router(document: &Value) -> Router {
    let json = bytes::Bytes::from(document.to_string());
    Router::new().route(
        "/openapi.json",
        get(move || async move { ([(CONTENT_TYPE, "application/json")], json) }),
    )
}
