//! Room `integration`: what is told of bodies of every kind, and which of them came before.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Method};
use misy_core::crypto::{self, others};
use misy_core::{Role, TenantId};
use serde_json::{Value, json};

use super::address::{send, source};
use crate::house::{House, text};
use crate::sink::Sink;

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = all
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
    pairs.collect()
}

async fn count(house: &House, tenant: TenantId, status: &str) -> usize {
    let path = format!("/v1/source-receipts?limit=100&status={status}");
    let listed = house.get(tenant, &path).await.expect(200);
    listed["data"].as_array().expect("a list").len()
}

#[tokio::test]
async fn a_form_is_told_by_its_fields() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let id = source(&house, tenant, json!({ "preset": "twilio" })).await;
    let address = format!("/hooks/sources/{id}");
    let body = "From=%2B49151&Body=caf%C3%A9+%26+more&MessageSid=SM1";
    let signed = format!("https://bot.example{address}Bodycaf\u{e9} & moreFrom+49151MessageSidSM1");
    let tag = STANDARD.encode(others::hmac(others::Hash::Sha1, b"secret", signed.as_bytes()));
    let kind = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let sent = headers(&[kind, ("x-twilio-signature", &tag)]);
    assert_eq!(house.send(Method::POST, &address, sent.clone(), body).await.0, 200);
    let other = body.replace("more", "less");
    assert_eq!(house.send(Method::POST, &address, sent, &other).await.0, 401);
    house.run().await;
    let wanted = json!({"From": "+49151", "Body": "caf\u{e9} & more", "MessageSid": "SM1"});
    assert_eq!(sink.heard()[0].json()["data"]["content"], wanted);
}

#[tokio::test]
async fn what_is_no_text_is_kept_byte_for_byte_and_told_in_base64() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let id = source(&house, tenant, json!({})).await;
    let bodies: [&[u8]; 4] = [&[0xff, 0x00, 0xfe, b'{'], b"plain \"words\"", b"", b"{\"a\": 1"];
    for body in bodies {
        let tag = crypto::to_hex(&crypto::hmac_sha256(b"secret", body));
        let sent = headers(&[("x-hub-signature-256", &format!("sha256={tag}"))]);
        let path = format!("/hooks/sources/{id}");
        assert_eq!(house.send(Method::POST, &path, sent, body).await.0, 200);
    }
    house.run().await;
    let mut told: Vec<Value> =
        sink.heard().iter().map(|one| one.json()["data"]["content"].clone()).collect();
    told.sort_by_key(Value::to_string);
    let wanted =
        [json!("plain \"words\""), json!("{\"a\": 1"), Value::Null, json!({"base64": "/wD+ew=="})];
    assert_eq!(told, wanted);
    let listed = house.get(tenant, "/v1/source-receipts").await.expect(200);
    let first = listed["data"].as_array().expect("a list").last().expect("one").clone();
    let path = format!("/v1/source-receipts/{}", text(&first["id"]));
    assert_eq!(house.get(tenant, &path).await.expect(200)["body_base64"], "/wD+ew==");
}

#[tokio::test]
async fn two_events_with_the_same_body_and_another_type_are_two() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let id = source(&house, tenant, json!({ "preset": "shopify" })).await;
    let body = "{\"id\": 820982911946154508, \"financial_status\": \"paid\"}";
    let tag = STANDARD.encode(crypto::hmac_sha256(b"secret", body.as_bytes()));
    let path = format!("/hooks/sources/{id}");
    // Of a shop whose orders are paid at once both come with one body; the last is a repetition.
    for (topic, delivery) in [("orders/create", "1"), ("orders/paid", "2"), ("orders/paid", "3")] {
        let sent = headers(&[
            ("x-shopify-hmac-sha256", &tag),
            ("x-shopify-topic", topic),
            ("x-shopify-webhook-id", delivery),
        ]);
        assert_eq!(house.send(Method::POST, &path, sent, body).await.0, 200);
    }
    house.run().await;
    let mut told: Vec<String> =
        sink.heard().iter().map(|one| text(&one.json()["data"]["external_type"])).collect();
    told.sort_unstable();
    assert_eq!(told, ["orders/create", "orders/paid"]);
    assert_eq!(count(&house, tenant, "duplicate").await, 1);
}

#[tokio::test]
async fn a_sender_whose_bodies_repeat_without_an_id_is_believed_each_time() {
    let house = House::new().await;
    let tenant = house.tenant();
    let id = source(&house, tenant, json!({ "preset": "microsoft_graph" })).await;
    let body = json!({"value": [{"clientState": "secret", "changeType": "updated",
        "resource": "users/1"}]});
    for _ in 0..2 {
        let path = format!("/hooks/sources/{id}");
        let sent = house.send(Method::POST, &path, HeaderMap::new(), body.to_string());
        assert_eq!(sent.await.0, 200);
    }
    assert_eq!(
        (count(&house, tenant, "stored").await, count(&house, tenant, "duplicate").await),
        (2, 0)
    );
}

#[tokio::test]
async fn what_waits_for_a_job_that_gave_up_is_told_at_its_owners_wish_and_once() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let id = source(&house, tenant, json!({})).await;
    send(&house, &id, "1", "{\"n\": 1}").await;
    house.count("with gone as (delete from jobs returning 1) select count(*) from gone").await;
    house.run().await;
    assert!(sink.heard().is_empty());
    let listed = house.get(tenant, "/v1/source-receipts?status=stored").await.expect(200);
    let path = format!("/v1/source-receipts/{}/replay", text(&listed["data"][0]["id"]));
    let refused = house.call((tenant, Role::Agent), Method::POST, &path, Some(json!({}))).await;
    refused.expect(403);
    for _ in 0..2 {
        house.post(tenant, &path, json!({})).await.expect(202);
    }
    house.run().await;
    assert_eq!(sink.heard().len(), 1, "two wishes before it was told are one");
}

#[tokio::test]
async fn a_secret_is_taken_as_its_provider_shows_it() {
    let house = House::new().await;
    let tenant = house.tenant();
    let secret = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tr";
    let (now, body) = (house.deps.ambient.now().as_second(), "{\"type\": \"user.created\"}");
    let wish = json!({ "name": "Hooks", "settings": { "preset": "supabase" },
        "secret": format!("v1,{secret}") });
    let id = text(&house.post(tenant, "/v1/sources", wish).await.expect(201)["id"]);
    let signed = format!("msg_1.{now}.{body}");
    let tag = crypto::hmac_sha256(b"kkkkkkkkkkkkkkkkkkkkkkkk", signed.as_bytes());
    let sent = headers(&[
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", &now.to_string()),
        ("webhook-signature", &format!("v1,{}", STANDARD.encode(tag))),
    ]);
    let path = format!("/hooks/sources/{id}");
    assert_eq!(house.send(Method::POST, &path, sent, body).await.0, 200);
}

#[tokio::test]
async fn a_secret_in_the_query_is_kept_nowhere() {
    let house = House::new().await;
    let tenant = house.tenant();
    let scheme = json!({"algorithm": "token", "signature": {"query": "key"}});
    let id = source(&house, tenant, json!({ "preset": null, "scheme": scheme })).await;
    for (key, status) in [("secret", 200), ("secret-of-before", 401)] {
        let path = format!("/hooks/sources/{id}?shop=caf%C3%A9&key={key}");
        assert_eq!(house.send(Method::POST, &path, HeaderMap::new(), "{}").await.0, status);
    }
    let listed = house.get(tenant, "/v1/source-receipts").await.expect(200);
    let all = listed["data"].as_array().expect("a list");
    assert_eq!(all.len(), 2);
    for receipt in all {
        assert_eq!(receipt["query"], "shop=caf%C3%A9");
        assert!(!receipt.to_string().contains("secret"), "{receipt}");
    }
}
