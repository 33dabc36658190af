//! Room `integration`: what is taken at a source's address, what is refused, and what comes of it.

use base64::Engine;
use http::{HeaderMap, Method, StatusCode};
use misy_core::{TenantId, crypto};
use misy_integration::sources::model::Repetition;
use serde_json::{Value, json};

use super::schemes::vectors;
use crate::house::{House, text};
use crate::sink::Sink;

const NOBODY: &str = "src_01k8zq5m3ge0r8v0w1x2y3z4a5";

/// A source of the preset `github`, whose secret is `secret`.
pub(super) async fn source(house: &House, tenant: TenantId, settings: Value) -> String {
    let mut wish = json!({ "preset": "github" });
    for (name, value) in settings.as_object().into_iter().flatten() {
        wish[name] = value.clone();
    }
    let body = json!({ "name": "Shop", "settings": wish, "secret": "secret" });
    text(&house.post(tenant, "/v1/sources", body).await.expect(201)["id"])
}

fn signed(secret: &str, id: &str, body: &str) -> HeaderMap {
    let tag = crypto::to_hex(&crypto::hmac_sha256(secret.as_bytes(), body.as_bytes()));
    let mut headers = HeaderMap::new();
    let tag = format!("sha256={tag}").parse().expect("a value");
    headers.insert("x-hub-signature-256", tag);
    headers.insert("x-github-delivery", id.parse().expect("a value"));
    headers.insert("content-type", "application/json".parse().expect("a value"));
    headers
}

pub(super) async fn send(house: &House, source: &str, id: &str, body: &str) -> StatusCode {
    let path = format!("/hooks/sources/{source}");
    house.send(Method::POST, &path, signed("secret", id, body), body).await.0
}

async fn receipts(house: &House, tenant: TenantId, filter: &str) -> Vec<Value> {
    let path = format!("/v1/source-receipts?limit=100{filter}");
    let listed = house.get(tenant, &path).await.expect(200);
    listed["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn what_is_received_reaches_an_endpoint_as_an_event() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let source = source(&house, tenant, json!({})).await;
    let body = "{\"action\": \"opened\",  \"n\": 1}";
    assert_eq!(send(&house, &source, "d-1", body).await, 200);
    let kept = receipts(&house, tenant, "&status=stored").await;
    assert_eq!((kept.len(), &kept[0]["external_id"]), (1, &json!("d-1")));
    assert!(sink.heard().is_empty(), "acknowledged before it is told");
    house.run().await;
    let heard = sink.heard();
    assert_eq!(heard.len(), 1);
    let said = heard[0].json();
    assert_eq!(said["type"], "webhook_source.received");
    assert_eq!(said["data"]["content"], json!({"action": "opened", "n": 1}));
    assert_eq!(said["data"]["source_id"], source);
    assert!(!heard[0].header("webhook-signature").is_empty());
    let path = format!("/v1/source-receipts/{}", text(&kept[0]["id"]));
    let receipt = house.get(tenant, &path).await.expect(200);
    assert_eq!(receipt["status"], "forwarded");
    assert_eq!(receipt["event_id"], heard[0].header("webhook-id"));
    let raw = base64::engine::general_purpose::STANDARD.encode(body);
    assert_eq!(receipt["body_base64"], raw, "byte for byte");
}

#[tokio::test]
async fn every_preset_is_taken_at_its_address() {
    let house = House::new().await;
    let tenant = house.tenant();
    let start = house.deps.ambient.now().as_second();
    // PayPal's certificate has to be fetched from PayPal, and some vectors are of other years.
    let today = vectors().into_iter().filter(|one| one.now == start && one.preset != "paypal");
    let (mut taken, mut repeated, mut doors) = (0, 0, Vec::new());
    for one in today {
        let settings = json!({ "preset": one.preset, "public_url": one.url });
        let body = json!({ "name": one.preset, "settings": settings, "secret": one.secret });
        let id = text(&house.post(tenant, "/v1/sources", body).await.expect(201)["id"]);
        let path = format!("/hooks/sources/{id}");
        let sent = async |body: &str| {
            house.send(Method::POST, &path, one.header_map(), body).await.0.as_u16()
        };
        assert_eq!(sent(&one.body).await, 200, "{}", one.preset);
        assert_eq!(sent(&one.body).await, 200, "{}: again", one.preset);
        if !one.body_unsigned {
            assert_eq!(sent(&one.tampered()).await, 401, "{}: tampered", one.preset);
        }
        let once = one.scheme().repetition != Repetition::Never;
        (taken, repeated) = (taken + if once { 1 } else { 2 }, repeated + usize::from(once));
        doors.push((path, one));
    }
    assert!(taken > 25, "{taken}");
    assert_eq!(receipts(&house, tenant, "&status=stored").await.len(), taken);
    assert_eq!(receipts(&house, tenant, "&status=duplicate").await.len(), repeated);
    house.later(3_600);
    for (path, one) in doors.iter().filter(|(_, one)| one.is_timed()) {
        let answer = house.send(Method::POST, path, one.header_map(), &one.body).await;
        assert_eq!(answer.0, 401, "{}: old", one.preset);
    }
}

#[tokio::test]
async fn whoever_is_refused_is_told_the_same_and_the_owner_is_told_why() {
    let house = House::new().await;
    let (tenant, body) = (house.tenant(), "{}");
    let stripe = json!({"name": "Pay", "settings": {"preset": "stripe"}, "secret": "whsec_a"});
    let stripe = text(&house.post(tenant, "/v1/sources", stripe).await.expect(201)["id"]);
    let mine = source(&house, tenant, json!({})).await;
    let off = source(&house, tenant, json!({})).await;
    house.patch(tenant, &format!("/v1/sources/{off}"), json!({"enabled": false})).await.expect(200);
    let removed = source(&house, tenant, json!({})).await;
    house.delete(tenant, &format!("/v1/sources/{removed}")).await;
    let old = {
        let tag = crypto::hmac_sha256(b"whsec_a", b"1000.{}");
        let mut headers = HeaderMap::new();
        let value = format!("t=1000,v1={}", crypto::to_hex(&tag));
        headers.insert("stripe-signature", value.parse().expect("a value"));
        headers
    };
    let good = signed("secret", "1", body);
    let tries = [
        (NOBODY, good.clone()),
        ("nothing-like-an-id", good.clone()),
        ("cha_01k8zq5m3ge0r8v0w1x2y3z4a5", good.clone()),
        (off.as_str(), good.clone()),
        (removed.as_str(), good.clone()),
        (mine.as_str(), HeaderMap::new()),
        (mine.as_str(), signed("other", "1", body)),
        (stripe.as_str(), old),
    ];
    let mut answers = Vec::new();
    for (source, headers) in tries {
        let path = format!("/hooks/sources/{source}");
        let (status, answer) = house.send(Method::POST, &path, headers, body).await;
        let mut answer: Value = serde_json::from_str(&answer).expect("a problem");
        for own in ["request_id", "instance"] {
            answer.as_object_mut().expect("an object").remove(own);
        }
        answers.push((status, answer));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|one| one == &answers[0]), "{answers:#?}");
    let reasons: Vec<String> = receipts(&house, tenant, "&status=refused")
        .await
        .iter()
        .map(|one| text(&one["reason"]))
        .collect();
    assert_eq!(reasons, ["too_old", "signature_mismatch", "signature_missing"]);
    let shown = house.get(tenant, &format!("/v1/sources/{mine}")).await.expect(200);
    assert_eq!(shown["refusals"], 2);
    let path = format!("/hooks/sources/{NOBODY}");
    for source in [NOBODY, "x", off.as_str(), mine.as_str()] {
        let path = format!("/hooks/sources/{source}?hub.mode=subscribe&challenge=1");
        assert_eq!(house.send(Method::GET, &path, HeaderMap::new(), "").await.0, 403);
    }
    let huge = "x".repeat((4 << 20) + 1);
    assert_eq!(house.send(Method::POST, &path, HeaderMap::new(), &huge).await.0, 413);
}

#[tokio::test]
async fn many_refusals_are_an_alarm_once() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({"event_types": ["webhook_source.refusing"]})).await;
    let source = source(&house, tenant, json!({})).await;
    let path = format!("/hooks/sources/{source}");
    for _ in 0..60 {
        let answer = house.send(Method::POST, &path, signed("wrong", "1", "{}"), "{}").await;
        assert_eq!(answer.0, 401);
    }
    let shown = house.get(tenant, &format!("/v1/sources/{source}")).await.expect(200);
    assert_eq!(shown["refusals"], 60, "also those that are not written down yet");
    house.later(2);
    assert_eq!(house.send(Method::POST, &path, HeaderMap::new(), "{}").await.0, 401);
    house.run().await;
    let heard = sink.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].json()["data"]["reason"], "signature_mismatch");
    let shown = house.get(tenant, &format!("/v1/sources/{source}")).await.expect(200);
    assert_eq!(shown["refusals"], 61, "all are counted");
    let noted = receipts(&house, tenant, "&status=refused").await.len();
    assert_eq!(noted, 21, "some are written down");
}

#[tokio::test]
async fn what_came_before_is_acknowledged_and_told_once() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let source = source(&house, tenant, json!({})).await;
    let other = self::source(&house, tenant, json!({})).await;
    let body = "{\"n\": 1}";
    for id in ["d-1", "d-1", "changed-by-somebody"] {
        assert_eq!(send(&house, &source, id, body).await, 200);
    }
    assert_eq!(send(&house, &source, "d-1", "{\"n\": 2}").await, 200);
    assert_eq!(send(&house, &source, "d-2", "{\"n\": 3}").await, 200);
    assert_eq!(send(&house, &other, "d-1", body).await, 200, "another source is another matter");
    house.run().await;
    assert_eq!(sink.heard().len(), 3);
    assert_eq!(receipts(&house, tenant, "&status=duplicate").await.len(), 3);
    let shown = house.get(tenant, &format!("/v1/sources/{source}")).await.expect(200);
    assert_eq!((&shown["repetitions"], &shown["refusals"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn of_many_that_come_at_once_one_is_kept() {
    let house = House::new().await;
    let tenant = house.tenant();
    let source = source(&house, tenant, json!({})).await;
    let sends = (0..12).map(|_| send(&house, &source, "d-1", "{\"n\": 1}"));
    for status in futures_util::future::join_all(sends).await {
        assert_eq!(status, 200);
    }
    assert_eq!(receipts(&house, tenant, "&status=stored").await.len(), 1);
    assert_eq!(house.count("select count(*) from source_marks").await, 2);
}

#[tokio::test]
async fn what_was_stored_is_told_by_the_next_process() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let source = source(&house, tenant, json!({})).await;
    for n in 0..20 {
        assert_eq!(send(&house, &source, &format!("d-{n}"), &format!("{{\"n\": {n}}}")).await, 200);
    }
    // Nothing was told yet: the process that took them ends here.
    let House { database, deps, .. } = house;
    let next = House::on(database, deps.config.clone());
    drop(deps);
    next.run().await;
    let mut told: Vec<i64> = sink
        .heard()
        .iter()
        .map(|one| one.json()["data"]["content"]["n"].as_i64().expect("a number"))
        .collect();
    told.sort_unstable();
    assert_eq!(told, (0..20).collect::<Vec<_>>(), "each once");
    next.run().await;
    assert_eq!(sink.heard().len(), 20);
}

#[tokio::test]
async fn too_many_are_told_to_come_later() {
    let house = House::new().await;
    let tenant = house.tenant();
    let source = source(&house, tenant, json!({"rate_per_s": 2})).await;
    let mut statuses = Vec::new();
    for n in 0..6 {
        let body = format!("{{\"n\": {n}}}");
        statuses.push(send(&house, &source, &n.to_string(), &body).await.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    house.later(1);
    assert_eq!(send(&house, &source, "later", "{\"n\": 9}").await, 200);
}

#[tokio::test]
async fn a_handshake_is_answered_at_the_address() {
    let house = House::new().await;
    let tenant = house.tenant();
    let body = json!({"name": "Meta", "settings": {"preset": "meta"}, "secret": "app",
        "verify_token": "mine"});
    let id = text(&house.post(tenant, "/v1/sources", body).await.expect(201)["id"]);
    let ask = |token: &str| {
        format!(
            "/hooks/sources/{id}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158"
        )
    };
    let answer = house.send(Method::GET, &ask("mine"), HeaderMap::new(), "").await;
    assert_eq!((answer.0.as_u16(), answer.1.as_str()), (200, "1158"));
    assert_eq!(house.send(Method::GET, &ask("no"), HeaderMap::new(), "").await.0, 403);
    let refused = receipts(&house, tenant, "&status=refused").await;
    assert_eq!(refused[0]["reason"], "handshake_wrong");
}
