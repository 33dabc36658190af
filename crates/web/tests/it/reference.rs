//! Room `web`: the reference says what is so.

use std::collections::{BTreeSet, HashSet};

use insta::assert_snapshot;
use misy_core::{Code, crypto};
use serde_json::Value;

use crate::kit::{Anonymous, TestApp};

async fn document() -> Value {
    TestApp::new().get::<Anonymous>("/openapi.json").await.json()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("an item");
        item.iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    each.collect()
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_its_problems() {
    let document = document().await;
    let mut names = HashSet::new();
    let table: Vec<String> = operations(&document)
        .into_iter()
        .map(|(place, operation)| {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} twice");
            let answers = operation["responses"].as_object().expect("responses");
            let statuses: Vec<_> = answers.keys().map(String::as_str).collect();
            format!("{place} = {name}: {}", statuses.join(" "))
        })
        .collect();
    assert_snapshot!(table.join("\n"), @"
    get /healthz = operations_alive: 200 500 503 504
    post /hooks/{hook} = hooks_deliver: 200 400 404 413 415 422 429 500 503 504
    get /openapi.json = operations_reference: 200 500 503 504
    get /readyz = operations_ready: 200 500 503 504
    post /v1/auth/login = auth_sign_in: 200 400 413 415 422 429 500 503 504
    get /v1/auth/me = auth_me: 200 401 403 429 500 503 504
    get /v1/fail/{how} = notes_fail: 200 404 429 500 503 504
    get /v1/notes = notes_list: 200 400 401 403 422 429 500 503 504
    post /v1/notes = notes_create: 201 400 401 403 404 409 413 415 422 429 500 503 504
    post /v1/notes/twice = notes_create_twice: 200 400 401 403 409 422 429 500 503 504
    get /v1/notes/{id} = notes_get: 200 401 403 404 429 500 503 504
    patch /v1/notes/{id} = notes_update: 200 400 401 403 404 409 412 413 415 422 429 500 503 504
    get /v1/platform = platform_only: 200 401 403 429 500 503 504
    post /v1/platform = platform_create: 201 400 401 403 409 422 429 500 503 504
    get /v1/slow = notes_slow: 200 401 403 429 500 503 504
    ");
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["security"][0]["bearer"], serde_json::json!([]));
    let text = document.to_string();
    let targets: HashSet<&str> =
        text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() > 20, "{targets:?}");
    for target in targets {
        assert!(document.pointer(target).is_some(), "{target}");
    }
}

#[tokio::test]
async fn a_change_tells_of_its_headers() {
    let document = document().await;
    let patch = &document["paths"]["/v1/notes/{id}"]["patch"];
    let parameters = patch["parameters"].to_string();
    assert!(parameters.contains("IdempotencyKey") && parameters.contains("IfMatch"));
    let headers = patch["responses"]["200"]["headers"].as_object().expect("headers");
    let names: BTreeSet<_> = headers.keys().map(String::as_str).collect();
    let names: Vec<_> = names.into_iter().collect();
    assert_eq!(names, ["Idempotency-Replayed", "RateLimit", "RateLimit-Policy", "X-Request-Id"]);
}

#[tokio::test]
async fn a_route_without_a_credential_promises_no_401() {
    let document = document().await;
    let login = &document["paths"]["/v1/auth/login"]["post"];
    assert!(login["responses"].get("401").is_none());
    assert_eq!(login["x-rate-class"], "sign_in");
    assert!(!login["parameters"].to_string().contains("Idempotency"));
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_no_other() {
    let page = TestApp::new().get::<Anonymous>("/docs").await;
    let text = String::from_utf8(page.body.clone()).expect("UTF-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"));
    for (open, close) in [("<script>", "</script>"), ("<style>", "</style>")] {
        let inner = text.split_once(open).and_then(|(_, rest)| rest.split_once(close));
        let digest = crypto::to_base64url(&crypto::sha256(inner.expect("inline").0.as_bytes()));
        let standard = digest.replace('-', "+").replace('_', "/");
        assert!(policy.contains(&format!("'sha256-{standard}='")), "{open}");
    }
    let outside = ["http://", "https://", "src=", "@import", "url("];
    assert!(outside.iter().all(|one| !text.contains(one)), "the page loads nothing from elsewhere");
    assert!(!text.contains("{{"));
}

#[tokio::test]
async fn every_code_is_explained_where_its_type_points() {
    let page = TestApp::new().get::<Anonymous>("/docs/errors").await;
    let text = String::from_utf8(page.body).expect("UTF-8");
    let markdown = misy_web::errors_markdown();
    for code in Code::ALL {
        assert!(text.contains(&format!("<tr id=\"{}\">", code.slug())), "{code:?}");
        assert!(markdown.contains(&format!("| `{}` | {} |", code.slug(), code.status())));
    }
}

#[tokio::test]
async fn the_pages_are_revalidated() {
    let app = TestApp::new();
    let first = app.get::<Anonymous>("/docs").await;
    let known = [("if-none-match", first.header("etag"))];
    let again = app.send::<Anonymous>(http::Method::GET, "/docs", &known, "").await;
    assert_eq!(again.status, 304);
    assert_eq!(first.header("cache-control"), "no-cache");
}
