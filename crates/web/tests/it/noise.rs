//! Room `web`: whatever is sent, the answer is no failure of ours, and a refusal is a problem.

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::kit::{Answer, TestApp, call};

fn ask(request: Request<Body>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async { call(&TestApp::new().router, request).await })
}

fn check(answer: &Answer) -> Result<(), TestCaseError> {
    let status = answer.status.as_u16();
    prop_assert!(status < 500, "{}", answer);
    if status >= 400 {
        prop_assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer);
        prop_assert_eq!(&answer.json()["status"], &json!(status));
    }
    Ok(())
}

fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/v1/notes",
        "/v1/notes/con_00000000000000000000000001",
        "/v1/auth/login",
        "/v1/auth/me",
        "/hooks/x",
        "/healthz",
        "/docs",
    ]);
    prop_oneof![
        known.prop_map(str::to_owned),
        "/[a-z0-9/._~%-]{0,30}",
        "/v1/notes/[ -~&&[^ \"<>\\\\^`{|}#?]]{1,40}",
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("link")),
        Just(json!("con_00000000000000000000000001")),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "colour",
            "stars",
            "attachments",
            "kind",
            "href",
            "latitude",
            "~/"
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn arbitrary_requests_are_answered_well(
        method in "(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|[A-Z]{1,9})",
        path in path(),
        query in proptest::option::of("[ -~&&[^ \"<>\\\\^`{|}#]]{0,60}"),
        bearer in proptest::option::of("(admin|operator|expired|[!-~]{0,20})"),
        headers in prop::collection::vec(
            (prop::sample::select(vec![
                "content-type", "content-length", "if-match", "if-none-match", "origin",
                "x-request-id", "traceparent", "x-forwarded-for", "accept", "expect", "range",
                "access-control-request-method",
            ]), prop::collection::vec(0x20_u8..=0xff, 0..24)), 0..5),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let mut request = Request::builder().method(method.as_str()).uri(target);
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        let Ok(request) = request.body(Body::from(body)) else { return Ok(()) };
        let head = method == "HEAD";
        let answer = ask(request);
        prop_assert!(answer.status.as_u16() < 500, "{}", answer);
        if !head {
            check(&answer)?;
        }
    }

    #[test]
    fn arbitrary_json_is_a_body_or_a_list_of_faults(mut body in json_value(), known: bool) {
        if let (Some(members), true) = (body.as_object_mut(), known) {
            members.insert("title".to_owned(), json!("echo"));
        }
        let request = Request::post("/v1/notes")
            .header("authorization", "Bearer admin")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let answer = ask(request);
        check(&answer)?;
        if answer.status == 422 {
            let faults = answer.json()["errors"].as_array().cloned().unwrap_or_default();
            prop_assert!(!faults.is_empty(), "{}", answer);
            for fault in faults {
                let pointer = fault["pointer"].as_str().unwrap_or("?").to_owned();
                let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(body.pointer(parent).is_some(), "{} in {}", pointer, body);
            }
        }
    }
}
