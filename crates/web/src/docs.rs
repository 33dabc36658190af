//! Room `web`: the reference for people at `/docs` and `/docs/errors`, and for programs at
//! `/openapi.json`. The pages hold all they need and load nothing from anywhere else.

use std::fmt::Write as _;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use misy_core::{Code, crypto};
use serde_json::Value;

const PAGE: &str = include_str!("../assets/docs.html");
const STYLE: &str = include_str!("../assets/docs.css");
const SCRIPT: &str = include_str!("../assets/docs.js");

/// The pages are made once, at the start.
pub(crate) fn router(document: &Value) -> Router {
    let reference = Page::new("application/json", document.to_string(), None);
    let docs = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    let docs = Page::new("text/html; charset=utf-8", docs, Some(SCRIPT));
    let errors = Page::new("text/html; charset=utf-8", errors_page(), None);
    let serve = |page: Page| get(move || async move { page });
    Router::new()
        .route("/openapi.json", serve(reference))
        .route("/docs", serve(docs))
        .route("/docs/errors", serve(errors))
}

/// A text that never changes while the program runs.
#[derive(Clone)]
struct Page {
    kind: &'static str,
    text: Bytes,
    policy: HeaderValue,
    tag: HeaderValue,
}

impl Page {
    /// The policy names the only script and style by their hashes: nothing else runs on the page.
    fn new(kind: &'static str, text: String, script: Option<&str>) -> Self {
        let script = script.map_or_else(|| "'none'".to_owned(), hash_source);
        let policy = format!(
            "default-src 'none'; script-src {script}; style-src {}; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash_source(STYLE)
        );
        let tag = crypto::to_hex(&crypto::sha256(text.as_bytes())[..8]);
        let ascii = |text: String| HeaderValue::try_from(text).expect("it is made of ASCII here");
        Self { kind, text: text.into(), policy: ascii(policy), tag: ascii(format!("\"{tag}\"")) }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.kind)),
            (CONTENT_SECURITY_POLICY, self.policy),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (ETAG, self.tag),
        ];
        (headers, self.text).into_response()
    }
}

/// A hash source (CSP level 3) of a script or a style; it wants standard base64 with its padding.
pub fn hash_source(text: &str) -> String {
    let digest = crypto::to_base64url(&crypto::sha256(text.as_bytes()));
    format!("'sha256-{}='", digest.replace('-', "+").replace('_', "/"))
}

/// `docs/errors.md`: every code, its status, and what to do about it.
pub fn errors_markdown() -> String {
    let mut text = String::from(
        "# Errors\n\nGenerated from the catalogue in `crates/core/src/error.rs`; `code` never \
         changes once published.\n\n| code | status | title | what to do |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let (slug, status, title, help) = (code.slug(), code.status(), code.title(), code.help());
        let _ = writeln!(text, "| `{slug}` | {status} | {title} | {} |", help.replace('|', "\\|"));
    }
    text
}

/// One row a code, with the code as its anchor: where a problem's `type` leads.
fn errors_page() -> String {
    let mut rows = String::new();
    for code in Code::ALL {
        let (slug, status) = (escape(code.slug()), code.status());
        let (title, help) = (escape(code.title()), escape(code.help()));
        let _ = writeln!(
            rows,
            "<tr id=\"{slug}\"><td><code>{slug}</code></td><td>{status}</td>\
             <td><strong>{title}</strong><br>{help}</td></tr>"
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>MisyBot API errors</title><style>{STYLE}</style></head><body><main>\
         <p><a href=\"/docs\">Reference</a></p><h1>Error codes</h1><p>Every refusal is \
         <code>application/problem+json</code> with one of these in <code>code</code>.</p>\n\
         <table><tr><th>code</th><th>status</th><th>what it means, what to do</th></tr>\n{rows}\
         </table></main></body></html>\n"
    )
}

/// Backquoted words become code, everything else plain text.
fn escape(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let pieces = plain.split('`').enumerate();
    pieces.fold(String::new(), |done, (index, piece)| {
        if index % 2 == 1 { format!("{done}<code>{piece}</code>") } else { done + piece }
    })
}
