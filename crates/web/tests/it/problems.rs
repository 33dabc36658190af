//! Room `web`: what goes wrong is answered as a problem, and ours say nothing of the inside.

use http::Method;
use insta::assert_snapshot;

use crate::kit::{Admin, Anonymous, JSON, OtherAdmin, TestApp};

const OWN: &str = "/v1/notes/con_00000000000000000000000001";

#[tokio::test]
async fn an_unknown_route_is_404() {
    let answer = TestApp::new().get::<Admin>("/v1/nothing?q=1").await;
    assert_snapshot!(answer, @r#"
    404 application/problem+json
    {
      "type": "/docs/errors#request.not_found",
      "title": "Nothing is here",
      "status": 404,
      "detail": "Check the id and the path. Objects of other tenants look exactly like this.",
      "code": "request.not_found"
    }
    "#);
}

#[tokio::test]
async fn a_wrong_method_is_405_and_lists_the_right_ones() {
    let answer = TestApp::new().send::<Admin>(Method::DELETE, "/v1/notes", &[], "").await;
    assert_snapshot!(answer, @r#"
    405 application/problem+json
    {
      "type": "/docs/errors#request.method_not_allowed",
      "title": "The method is not allowed here",
      "status": 405,
      "detail": "The `Allow` header lists the methods that are.",
      "code": "request.method_not_allowed"
    }
    "#);
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn a_foreign_object_looks_exactly_like_an_absent_one() {
    let app = TestApp::new();
    assert_eq!(app.get::<Admin>(OWN).await.status, 200);
    let foreign = app.get::<OtherAdmin>(OWN).await;
    let absent = app.get::<Admin>("/v1/notes/con_00000000000000000000000002").await;
    let nonsense = app.get::<Admin>("/v1/notes/usr_00000000000000000000000001").await;
    assert_eq!(foreign.status, 404);
    assert_eq!(foreign.without_instance(), absent.without_instance());
    assert_eq!(foreign.without_instance(), nonsense.without_instance());
    assert_eq!(foreign.body.len(), absent.body.len());
    let names = |answer: &crate::kit::Answer| {
        answer.headers.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&foreign), names(&absent));
}

#[tokio::test]
async fn a_panic_is_a_plain_500() {
    let answer = TestApp::new().get::<Anonymous>("/v1/fail/panic").await;
    assert_snapshot!(answer, @r#"
    500 application/problem+json
    {
      "type": "/docs/errors#server.internal",
      "title": "Something went wrong on our side",
      "status": 500,
      "detail": "It was logged. Give the request id from `X-Request-Id` to the operator.",
      "code": "server.internal"
    }
    "#);
}

#[tokio::test]
async fn a_failure_of_ours_tells_nothing_of_the_inside() {
    let answer = TestApp::new().get::<Anonymous>("/v1/fail/database").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.to_string().contains("secret"));
}

#[tokio::test]
async fn a_dependency_that_is_down_is_503_and_says_when_to_come_back() {
    let answer = TestApp::new().get::<Anonymous>("/v1/fail/down").await;
    assert_snapshot!(answer, @r#"
    503 application/problem+json
    {
      "type": "/docs/errors#server.unavailable",
      "title": "A service it needs is not available",
      "status": 503,
      "detail": "Repeat the request after the seconds that `Retry-After` says.",
      "code": "server.unavailable"
    }
    "#);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn what_takes_too_long_is_504() {
    let answer = TestApp::new().get::<Admin>("/v1/slow").await;
    assert_snapshot!(answer, @r#"
    504 application/problem+json
    {
      "type": "/docs/errors#server.timeout",
      "title": "It took too long",
      "status": 504,
      "detail": "Repeat the request; with an Idempotency-Key that is safe.",
      "code": "server.timeout"
    }
    "#);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_it_says_so_or_not() {
    let app = TestApp::new();
    let large = format!("{{\"title\": \"{}\"}}", "x".repeat(1 << 20));
    let length = large.len().to_string();
    let said = [JSON, ("content-length", length.as_str())];
    let announced = app.send::<Admin>(Method::POST, "/v1/notes", &said, large.clone()).await;
    assert_snapshot!(announced, @r#"
    413 application/problem+json
    {
      "type": "/docs/errors#request.too_large",
      "title": "The body is too large",
      "status": 413,
      "detail": "The limit is 1048576 bytes.",
      "code": "request.too_large"
    }
    "#);
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(large)]);
    let body = axum::body::Body::from_stream(chunks);
    let streamed = app.send::<Admin>(Method::POST, "/v1/notes", &[JSON], body).await;
    assert_eq!(streamed.status, 413);
}

#[tokio::test]
async fn a_hook_takes_three_mebibytes() {
    let app = TestApp::new();
    let body = vec![b'x'; 3 << 20];
    let answer = app.send::<Anonymous>(Method::POST, "/hooks/a?any=1", &[], body).await;
    assert_eq!(answer.to_string(), "200 text/plain; charset=utf-8\na 3145728");
    let more = vec![b'x'; (3 << 20) + 1];
    assert_eq!(app.send::<Anonymous>(Method::POST, "/hooks/a", &[], more).await.status, 413);
}

#[tokio::test]
async fn a_body_that_ends_early_is_400() {
    let parts = [Ok("{\"title\":"), Err(std::io::Error::other("reset"))];
    let body = axum::body::Body::from_stream(futures_util::stream::iter(parts));
    let answer = TestApp::new().send::<Admin>(Method::POST, "/v1/notes", &[JSON], body).await;
    assert_snapshot!(answer, @r#"
    400 application/problem+json
    {
      "type": "/docs/errors#request.malformed",
      "title": "The request cannot be read",
      "status": 400,
      "detail": "The body ended before it was complete.",
      "code": "request.malformed"
    }
    "#);
}

#[tokio::test]
async fn the_requests_id_is_taken_over_if_it_is_safe_and_named_in_the_problem() {
    let app = TestApp::new();
    let sent = [("x-request-id", "abc-1")];
    let answer = app.send::<Admin>(Method::GET, "/v1/nothing", &sent, "").await;
    assert_eq!(answer.header("x-request-id"), "abc-1");
    assert_eq!(answer.json()["instance"], "urn:misy:request:abc-1");
    let sent = [("x-request-id", "a b\"c")];
    let answer = app.send::<Admin>(Method::GET, "/v1/nothing", &sent, "").await;
    assert!(answer.header("x-request-id").starts_with("req_"));
}
