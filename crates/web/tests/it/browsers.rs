//! Room `web`: what browsers are told.

use http::Method;
use insta::assert_snapshot;
use misy_web::Config;

use crate::kit::{Admin, Anonymous, Answer, TestApp};

const HEADERS: [&str; 9] = [
    "cache-control",
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
];

fn shown(answer: &Answer) -> String {
    HEADERS.map(|name| format!("{name}: {}", answer.header(name))).join("\n")
}

#[tokio::test]
async fn every_answer_is_shielded() {
    let app = TestApp::new();
    let ok = shown(&app.get::<Admin>("/v1/notes").await);
    assert_snapshot!(ok, @r#"
    cache-control: no-store
    content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
    cross-origin-opener-policy: same-origin
    cross-origin-resource-policy: same-origin
    permissions-policy: camera=(), geolocation=(), microphone=(), payment=(), usb=()
    referrer-policy: no-referrer
    strict-transport-security: 
    x-content-type-options: nosniff
    x-frame-options: DENY
    "#);
    for path in ["/v1/nothing", "/v1/fail/panic", "/healthz", "/v1/platform"] {
        assert_eq!(shown(&app.get::<Admin>(path).await), ok, "{path}");
    }
}

#[tokio::test]
async fn behind_https_browsers_are_told_to_insist_on_it() {
    let app = TestApp::with(Config { https: true, ..Config::default() });
    let answer = app.get::<Anonymous>("/healthz").await;
    assert_eq!(answer.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
}

async fn preflight(origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    TestApp::new().send::<Anonymous>(Method::OPTIONS, "/v1/notes", &headers, "").await
}

#[tokio::test]
async fn a_page_of_some_tenant_may_ask() {
    let answer = preflight("https://one.example").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "https://one.example");
    assert!(answer.header("access-control-allow-methods").contains("PATCH"));
    assert!(answer.header("access-control-allow-headers").contains("Idempotency-Key"));
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
}

#[tokio::test]
async fn a_page_of_nobody_may_not() {
    for origin in ["https://evil.example", "null", "https://one.example.evil.example"] {
        let answer = preflight(origin).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{origin}");
        assert_eq!(answer.header("vary"), "Origin");
    }
}

#[tokio::test]
async fn an_answer_is_readable_only_to_pages_of_its_tenant() {
    let app = TestApp::new();
    let read =
        async |origin| app.send::<Admin>(Method::GET, "/v1/notes", &[("origin", origin)], "").await;
    let own = read("https://one.example").await;
    assert_eq!(own.header("access-control-allow-origin"), "https://one.example");
    assert!(own.header("access-control-expose-headers").contains("X-Request-Id"));
    let other = read("https://two.example").await;
    assert_eq!(own.header("access-control-allow-credentials"), "true");
    assert_eq!(other.header("access-control-allow-origin"), "");
    assert_eq!(other.header("access-control-allow-credentials"), "");
    assert_eq!(other.header("vary"), "Origin");
}

const COOKIE: (&str, &str) = ("cookie", "__Host-misybot=admin");
const JSON: (&str, &str) = ("content-type", "application/json");
const NOTE: &str = r#"{"title": "x"}"#;

#[tokio::test]
async fn with_a_cookie_a_page_of_its_tenant_changes_things_and_one_of_another_tenant_does_not() {
    let app = TestApp::new();
    let cases: [(&[(&str, &str)], bool); 7] = [
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://one.example")], true),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://two.example")], false),
        (&[("sec-fetch-site", "same-site"), ("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[], false),
    ];
    for (page, may) in cases {
        let headers = [&[COOKIE, JSON], page].concat();
        let answer = app.send::<Anonymous>(Method::POST, "/v1/notes", &headers, NOTE).await;
        assert_eq!(answer.status != 403, may, "{page:?}: {}", answer.status);
        assert_ne!(answer.status, 401, "{page:?}");
    }
}

#[tokio::test]
async fn a_cookie_lets_look_whatever_the_page_and_a_header_goes_before_it() {
    let app = TestApp::new();
    let evil = ("origin", "https://evil.example");
    let look = app.send::<Anonymous>(Method::GET, "/v1/notes", &[COOKIE, evil], "").await;
    assert_eq!(look.status, 200);
    assert_eq!(look.header("access-control-allow-origin"), "", "it may not read the answer");
    let both = [COOKIE, ("authorization", "Bearer nobody")];
    assert_eq!(app.send::<Anonymous>(Method::GET, "/v1/notes", &both, "").await.status, 401);
    for cookie in
        ["__Host-misybot=nobody", "misybot=admin", "__Host-misybot=admin; __Host-misybot=other"]
    {
        let sent = [("cookie", cookie)];
        let answer = app.send::<Anonymous>(Method::GET, "/v1/notes", &sent, "").await;
        assert_eq!(answer.status, 401, "{cookie}");
    }
}
