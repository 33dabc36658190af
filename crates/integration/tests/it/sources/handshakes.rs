//! Room `integration`: what providers ask before they send, answered at a source's address as each
//! of them documents it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use misy_core::{TenantId, crypto};
use serde_json::{Value, json};

use crate::house::{House, text};

/// A source of a preset; gives its address.
async fn source(house: &House, tenant: TenantId, preset: &str, secret: &str) -> String {
    let settings = json!({ "preset": preset });
    let body = json!({ "name": preset, "settings": settings, "secret": secret,
        "verify_token": "mine" });
    let made = house.post(tenant, "/v1/sources", body).await.expect(201);
    format!("/hooks/sources/{}", text(&made["id"]))
}

fn headers(all: &[(&'static str, String)]) -> HeaderMap {
    let pairs = all
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
    pairs.collect()
}

/// `v0=` and the hexadecimal HMAC of `v0:time:body`, as Slack and Zoom have it.
fn v0(house: &House, names: [&'static str; 2], secret: &str, body: &str) -> HeaderMap {
    let now = house.deps.ambient.now().as_second();
    let tag = crypto::hmac_sha256(secret.as_bytes(), format!("v0:{now}:{body}").as_bytes());
    let [signature, time] = names;
    headers(&[(signature, format!("v0={}", crypto::to_hex(&tag))), (time, now.to_string())])
}

const SLACK: [&str; 2] = ["x-slack-signature", "x-slack-request-timestamp"];
const ZOOM: [&str; 2] = ["x-zm-signature", "x-zm-request-timestamp"];

fn of_discord(house: &House, seed: &[u8; 32], body: &str) -> HeaderMap {
    let now = house.deps.ambient.now().as_second();
    let tag = crypto::ed25519_sign(seed, format!("{now}{body}").as_bytes());
    let tag = crypto::to_hex(&tag);
    headers(&[("x-signature-ed25519", tag), ("x-signature-timestamp", now.to_string())])
}

/// Status, type and body of what is answered.
async fn asked(
    house: &House,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: &str,
) -> (u16, String, String) {
    let answer = house.speak(method, path, headers, body).await;
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text"));
    let kind = kind.unwrap_or_default().to_owned();
    let body = String::from_utf8(answer.body().to_vec()).expect("UTF-8");
    (answer.status().as_u16(), kind, body)
}

async fn kept(house: &House, tenant: TenantId) -> usize {
    let listed = house.get(tenant, "/v1/source-receipts?limit=100").await.expect(200);
    listed["data"].as_array().expect("a list").len()
}

fn plain(text: &str) -> (u16, String, String) {
    (200, "text/plain; charset=utf-8".to_owned(), text.to_owned())
}

#[tokio::test]
async fn what_is_asked_by_get_is_given_back() {
    let house = House::new().await;
    let tenant = house.tenant();
    let get = async |path: String| asked(&house, Method::GET, &path, HeaderMap::new(), "").await;
    let meta = source(&house, tenant, "meta", "app").await;
    let wish = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token";
    assert_eq!(get(format!("{meta}?{wish}=mine")).await, plain("1158201444"));
    assert_eq!(get(format!("{meta}?{wish}=other")).await.0, 403);
    let other = format!("{meta}?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=mine");
    assert_eq!(get(other).await.0, 403);
    let dropbox = source(&house, tenant, "dropbox", "app").await;
    assert_eq!(get(format!("{dropbox}?challenge=a-%C3%A9")).await, plain("a-\u{e9}"));
    let path = format!("{dropbox}?challenge=1");
    let answer = house.speak(Method::GET, &path, HeaderMap::new(), "").await;
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let x = source(&house, tenant, "x", "consumer").await;
    for token in ["challenge_string", "9b4507b3-9040-4669-9ca3-6b94edb50553", "a%2Bb%2Fc%3D%3D"] {
        let (status, kind, body) = get(format!("{x}?crc_token={token}&nonce=1")).await;
        assert_eq!((status, kind.as_str()), (200, "application/json"));
        let token = token.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        let tag = STANDARD.encode(crypto::hmac_sha256(b"consumer", token.as_bytes()));
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body, json!({ "response_token": format!("sha256={tag}") }));
    }
    assert_eq!(get(format!("{x}?crc_token=%7B%22for_user_id%22%3A1%7D")).await.0, 403);
    let github = source(&house, tenant, "github", "s").await;
    assert_eq!(get(format!("{github}?challenge=1&crc_token=1")).await.0, 403, "asks nothing");
}

#[tokio::test]
async fn what_is_asked_by_post_is_answered_and_is_no_delivery() {
    let house = House::new().await;
    let tenant = house.tenant();
    let post = async |path: &str, headers, body: &str| {
        asked(&house, Method::POST, path, headers, body).await
    };
    let slack = source(&house, tenant, "slack", "signing").await;
    let body = "{\"token\": \"t\", \"challenge\": \"3eZbrw1a\", \"type\": \"url_verification\"}";
    let genuine = v0(&house, SLACK, "signing", body);
    assert_eq!(post(&slack, genuine, body).await, plain("3eZbrw1a"));
    let graph = source(&house, tenant, "microsoft_graph", "state").await;
    let path = format!("{graph}?validationToken=Validation%3A+Testing+%3Cb%3E%26");
    assert_eq!(post(&path, HeaderMap::new(), "").await, plain("Validation: Testing <b>&"));
    let seed = [7; 32];
    let key = crypto::to_hex(&crypto::ed25519_public(&seed));
    let discord = source(&house, tenant, "discord", &key).await;
    let ping = "{\"type\": 1, \"id\": \"1\"}";
    let pong = (200, "application/json".to_owned(), "{\"type\":1}".to_owned());
    assert_eq!(post(&discord, of_discord(&house, &seed, ping), ping).await, pong);
    // Of webhook events a ping has type 0 and wants nothing said.
    let ping = "{\"version\": 1, \"application_id\": \"1\", \"type\": 0}";
    let none = (204, "application/json".to_owned(), String::new());
    assert_eq!(post(&discord, of_discord(&house, &seed, ping), ping).await, none);
    assert_eq!(kept(&house, tenant).await, 0, "questions are no deliveries");
    let event = "{\"type\": 1, \"event\": {\"type\": \"ENTITLEMENT_CREATE\"}}";
    assert_eq!(post(&discord, of_discord(&house, &seed, event), event).await.0, 200);
    assert_eq!(kept(&house, tenant).await, 1, "an event is one");
    for (address, headers, body) in [
        (&slack, v0(&house, SLACK, "other", body), body),
        (&discord, of_discord(&house, &[8; 32], ping), ping),
    ] {
        assert_eq!(post(address, headers, body).await.0, 401);
    }
}

#[tokio::test]
async fn a_question_is_answered_with_the_secret_that_asked() {
    let house = House::new().await;
    let tenant = house.tenant();
    let zoom = source(&house, tenant, "zoom", "old").await;
    let id = zoom.trim_start_matches("/hooks/sources/");
    let rotate = json!({ "secret": "new" });
    house.post(tenant, &format!("/v1/sources/{id}/secret/rotate"), rotate).await.expect(200);
    let body = "{\"event\": \"endpoint.url_validation\", \"payload\": {\"plainToken\": \"qgg8\"}}";
    for secret in ["old", "new"] {
        let signed = v0(&house, ZOOM, secret, body);
        let (status, kind, answer) = asked(&house, Method::POST, &zoom, signed, body).await;
        assert_eq!((status, kind.as_str()), (200, "application/json"));
        let tag = crypto::to_hex(&crypto::hmac_sha256(secret.as_bytes(), b"qgg8"));
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer, json!({ "plainToken": "qgg8", "encryptedToken": tag }));
    }
    let unsigned = house.send(Method::POST, &zoom, HeaderMap::new(), body).await;
    assert_eq!(unsigned.0, StatusCode::UNAUTHORIZED, "nothing is signed for just anybody");
}
