//! Room `web`: `ETag`, `If-None-Match`, `If-Match`.

use http::Method;
use insta::assert_snapshot;

use crate::kit::{Admin, Answer, JSON, TestApp};

const NOTE: &str = "/v1/notes/con_00000000000000000000000001";

async fn read(known: &str) -> Answer {
    TestApp::new().send::<Admin>(Method::GET, NOTE, &[("if-none-match", known)], "").await
}

async fn change(seen: &str) -> Answer {
    let headers = [JSON, ("if-match", seen)];
    TestApp::new().send::<Admin>(Method::PATCH, NOTE, &headers, "{}").await
}

#[tokio::test]
async fn a_single_object_carries_its_version() {
    assert_eq!(TestApp::new().get::<Admin>(NOTE).await.header("etag"), "\"v7\"");
}

#[tokio::test]
async fn who_has_the_newest_version_gets_304_without_a_body() {
    for known in ["\"v7\"", "W/\"v7\"", "\"v6\", \"v7\"", "*"] {
        let answer = read(known).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), "\"v7\"");
    }
    assert_eq!(read("\"v6\"").await.status, 200);
    let absent = "/v1/notes/con_00000000000000000000000002";
    let sent = [("if-none-match", "*")];
    assert_eq!(TestApp::new().send::<Admin>(Method::GET, absent, &sent, "").await.status, 404);
}

#[tokio::test]
async fn a_change_of_an_old_version_is_412() {
    assert_snapshot!(change("\"v6\"").await, @r#"
    412 application/problem+json
    {
      "type": "/docs/errors#request.stale",
      "title": "It was changed meanwhile",
      "status": 412,
      "detail": "Read it again, apply your change to the new version and send its ETag in `If-Match`.",
      "code": "request.stale"
    }
    "#);
    assert_eq!(change("W/\"v7\"").await.status, 412, "a weak tag never matches a writer's");
}

#[tokio::test]
async fn a_change_of_the_newest_version_goes_through() {
    for seen in ["\"v7\"", "\"v1\", \"v7\"", "*"] {
        assert_eq!(change(seen).await.header("etag"), "\"v8\"", "{seen}");
    }
    assert_eq!(change("v7").await.status, 400, "a tag is quoted");
}
