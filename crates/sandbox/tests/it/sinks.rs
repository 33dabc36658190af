//! Room `sandbox`: sinks, as a sender of webhooks and as the person who looks into them.

use std::time::Duration;

use misy_core::crypto;
use serde_json::{Value, json};

use crate::harness::{Stage, call};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn script(stage: &Stage, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = stage.request(method, &format!("/sandbox/sinks{path}"));
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = call(request).await;
    (answer.status, answer.body)
}

/// A delivery at the stage's time, signed.
fn delivery(stage: &Stage, sink: &str, id: &str, body: &str) -> reqwest::RequestBuilder {
    let at = misy_testkit::ambient_with(&stage.clock, 1).now().as_second();
    let key = data_encoding::BASE64.decode(&SECRET.as_bytes()[6..]).expect("Base64");
    let tag = crypto::hmac_sha256(&key, format!("{id}.{at}.{body}").as_bytes());
    stage
        .request("POST", &format!("/sink/{sink}/some/path?x=1"))
        .header("webhook-id", id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", format!("v1,{}", data_encoding::BASE64.encode(&tag)))
        .body(body.to_owned())
}

#[tokio::test]
async fn what_came_is_shown_with_whether_it_is_genuine() {
    let stage = Stage::set().await;
    assert_eq!(script(&stage, "GET", "/shop", Value::Null).await.0, 404);
    let sent = delivery(&stage, "shop", "evt_1", "{\"a\": 1}").send().await.expect("an answer");
    assert_eq!((sent.status().as_u16(), sent.text().await.expect("text")), (200, "ok".to_owned()));
    let secrets = json!({ "secrets": [SECRET] });
    assert_eq!(script(&stage, "PATCH", "/shop", secrets).await.0, 200);
    for id in ["evt_2", "evt_2", "evt_3"] {
        delivery(&stage, "shop", id, "{}").send().await.expect("an answer");
    }
    let tampered = delivery(&stage, "shop", "evt_4", "{}").body("{ }");
    tampered.send().await.expect("an answer");
    stage.request("GET", "/sink/shop").send().await.expect("an answer");
    let late = delivery(&stage, "shop", "evt_5", "{}");
    stage.advance_s(301);
    late.send().await.expect("an answer");
    let (_, listed) = script(&stage, "GET", "/shop/requests", Value::Null).await;
    let data = listed["data"].as_array().expect("a list");
    let said: Vec<&str> = data.iter().filter_map(|one| one["signature"].as_str()).collect();
    let wanted = ["no_secret", "genuine", "genuine", "genuine", "mismatch", "unsigned", "too_old"];
    assert_eq!(said, wanted);
    assert_eq!((&data[0]["body"], &data[0]["method"]), (&json!("{\"a\": 1}"), &json!("POST")));
    assert_eq!(data[0]["path"], "/sink/shop/some/path?x=1");
    let (_, ids) = script(&stage, "GET", "/shop/ids", Value::Null).await;
    assert_eq!((&ids["data"]["evt_2"], &ids["data"]["evt_3"]), (&json!(2), &json!(1)));
    let (_, after) = script(&stage, "GET", "/shop/requests?after=5&limit=1", Value::Null).await;
    assert_eq!(after["data"][0]["serial"], 6);
    let (_, all) = script(&stage, "GET", "", Value::Null).await;
    assert_eq!((&all["data"][0]["received"], &all["data"][0]["genuine"]), (&json!(7), &json!(3)));
    assert_eq!(script(&stage, "DELETE", "/shop", Value::Null).await.0, 204);
    assert_eq!(script(&stage, "GET", "/shop/ids", Value::Null).await.0, 404);
}

#[tokio::test]
async fn it_answers_as_it_is_told() {
    let stage = Stage::set().await;
    let answered = async || {
        let sent = delivery(&stage, "s", "evt_1", "{}").send().await.expect("an answer");
        (sent.status().as_u16(), sent.headers().clone())
    };
    let behaviour = json!({
        "status": 503, "headers": {"retry-after": "7"}, "fail_next": {"status": 500, "times": 2},
    });
    assert_eq!(script(&stage, "PATCH", "/s", behaviour).await.0, 200);
    assert_eq!((answered().await.0, answered().await.0), (500, 500));
    let (status, headers) = answered().await;
    assert_eq!((status, headers["retry-after"].as_bytes()), (503, b"7".as_slice()));
    script(&stage, "PATCH", "/s", json!({"status": null, "refuse_unsigned": true})).await;
    assert_eq!(answered().await.0, 401);
    script(&stage, "PATCH", "/s", json!({"secrets": [SECRET]})).await;
    assert_eq!(answered().await.0, 200);
    let challenge =
        "{\"type\": \"webhook_endpoint.challenge\", \"data\": {\"challenge\": \"c-1\"}}";
    let sent = delivery(&stage, "s", "evt_2", challenge).send().await.expect("an answer");
    assert_eq!(sent.text().await.expect("text"), "c-1");
    let (_, ids) = script(&stage, "GET", "/s/ids", Value::Null).await;
    assert_eq!(ids["data"], json!({"evt_1": 1, "evt_2": 1}), "only what was taken counts");
}

#[tokio::test]
async fn it_misbehaves_if_it_is_told_to() {
    let stage = Stage::set().await;
    let hostile = async |how: &str| {
        let told = script(&stage, "PATCH", "/bad", json!({ "hostile": how })).await;
        assert_eq!(told.0, 200, "{}", told.1);
        delivery(&stage, "bad", "evt_1", "{}").timeout(Duration::from_secs(2)).send().await
    };
    let mut endless = hostile("endless_body").await.expect("a beginning");
    let mut read = 0;
    while read < 4 << 20 {
        read += endless.chunk().await.expect("more").expect("and more").len();
    }
    drop(endless);
    assert!(hostile("slow_body").await.expect("a beginning").bytes().await.is_err());
    for how in ["many_headers", "silence", "hang_up"] {
        assert!(hostile(how).await.is_err(), "{how}");
    }
    let (_, ids) = script(&stage, "GET", "/bad/ids", Value::Null).await;
    assert_eq!(ids["data"], json!({}));
}

#[tokio::test]
async fn nonsense_is_refused_and_names_are_bounded() {
    let stage = Stage::set().await;
    for body in [json!({"status": 99}), json!({"hostil": "x"}), json!([])] {
        assert_eq!(script(&stage, "PATCH", "/s", body).await.0, 422);
    }
    let long = "x".repeat(65);
    for name in [long.as_str(), "a.b", "%20"] {
        assert_eq!(script(&stage, "PATCH", &format!("/{name}"), json!({})).await.0, 404, "{name}");
        let sent = delivery(&stage, name, "evt_1", "{}").send().await.expect("an answer");
        assert_eq!(sent.status().as_u16(), 404);
    }
    let page = stage.request("GET", "/sinks").send().await.expect("a page");
    assert!(
        page.headers()["content-security-policy"].to_str().is_ok_and(|it| it.contains("sha256-"))
    );
    let page = page.text().await.expect("text");
    assert!(!page.contains("http://") && !page.contains("style=\"") && !page.contains("onclick"));
}
