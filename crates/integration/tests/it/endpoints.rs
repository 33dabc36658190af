//! Room `integration`: making, changing and proving endpoints, and who may.

use std::sync::Arc;

use http::Method;
use misy_core::Role;
use misy_integration::Config;
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::{Manner, Sink};

#[tokio::test]
async fn a_secret_is_shown_when_it_is_made_and_never_again() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let more = json!({
        "secret_headers": {"x-token": "s3cr3t-value"}, "settings": {"headers": {"x-plain": "p"}},
    });
    let made = house.endpoint(tenant, &sink, more).await;
    assert!(text(&made["secret"]).starts_with("whsec_") && made["public_key"].is_null());
    let path = format!("/v1/webhook-endpoints/{}", text(&made["id"]));
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    let heard = sink.heard().remove(0);
    assert_eq!(
        (heard.header("x-token"), heard.header("x-plain")),
        ("s3cr3t-value".into(), "p".into())
    );
    let delivery = text(&house.deliveries(tenant).await[0]["id"]);
    let mut shown = house.get(tenant, &path).await.expect(200).to_string();
    shown += &house.get(tenant, "/v1/webhook-endpoints").await.expect(200).to_string();
    shown += &house
        .get(tenant, &format!("/v1/webhook-deliveries/{delivery}"))
        .await
        .expect(200)
        .to_string();
    let secret = text(&made["secret"]);
    assert!(
        !shown.contains("s3cr3t-value") && !shown.contains(&secret) && shown.contains("x-token")
    );
    let hidden =
        "select count(*) from webhook_endpoints where position('s3cr3t'::bytea in sealed) > 0";
    assert_eq!(house.count(hidden).await, 0, "it is sealed");
}

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let house = House::new().await;
    let body = json!({
        "url": "gopher://x", "event_types": ["order.created", "Nope"],
        "conditions": [{"field": "/a", "operator": "greater", "value": "x"}],
        "settings": {"headers": {"webhook-id": "mine", "x-ok": "1"}, "retry_schedule_s": [0],
            "allowed_networks": ["10.0.0.0/99"]},
        "secret_headers": {"bad name": "x"},
    });
    let refused = house.post(house.tenant(), "/v1/webhook-endpoints", body).await.expect(422);
    let mut pointers: Vec<String> = refused["errors"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|one| text(&one["pointer"]))
        .collect();
    pointers.sort();
    pointers.dedup();
    let wanted = [
        "/client_certificate",
        "/conditions/0",
        "/event_types/1",
        "/secret_headers/bad name",
        "/settings/allowed_networks/0",
        "/settings/headers/webhook-id",
        "/settings/retry_schedule_s",
        "/url",
    ];
    assert_eq!(pointers, wanted);
}

#[tokio::test]
async fn there_may_be_so_many_endpoints_and_no_more() {
    let config = Config { private_hosts_allowed: true, endpoints_max: 2, ..Config::default() };
    let (house, sink) = (House::with(config).await, Sink::kind().await);
    let tenant = house.tenant();
    let first = house.endpoint(tenant, &sink, json!({})).await;
    house.endpoint(tenant, &sink, json!({})).await;
    let one = json!({ "url": sink.url() });
    house.post(tenant, "/v1/webhook-endpoints", one.clone()).await.expect(409);
    house.post(house.tenant(), "/v1/webhook-endpoints", one.clone()).await.expect(201);
    let path = format!("/v1/webhook-endpoints/{}", text(&first["id"]));
    house.delete(tenant, &path).await.expect(204);
    house.get(tenant, &path).await.expect(404);
    house.post(tenant, "/v1/webhook-endpoints", one).await.expect(201);
}

#[tokio::test]
async fn a_change_takes_effect_at_once_and_a_stale_one_is_refused() {
    let (house, sink, other) = (House::new().await, Sink::kind().await, Sink::kind().await);
    let tenant = house.tenant();
    let made = house.endpoint(tenant, &sink, json!({})).await;
    let path = format!("/v1/webhook-endpoints/{}", text(&made["id"]));
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    let changed = house
        .patch(tenant, &path, json!({"url": other.url(), "event_types": ["order.paid"]}))
        .await
        .expect(200);
    assert_eq!(changed["version"], 2);
    house.publish(tenant, "order.paid", json!({})).await;
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    assert_eq!((sink.heard().len(), other.heard().len()), (1, 1));
    house.patch(tenant, &path, json!({"event_types": null})).await.expect(200);
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    assert_eq!(other.heard().len(), 2);
    house.patch(tenant, &path, json!({"in_flight": 0})).await.expect(422);
    house.patch(tenant, &path, json!({"url": "ftp://x.example"})).await.expect(422);
}

#[tokio::test]
async fn an_endpoint_that_has_to_prove_itself_gets_nothing_until_it_has() {
    let config =
        Config { private_hosts_allowed: true, ownership_checked: true, ..Config::default() };
    let (house, sink) = (House::with(config).await, Sink::kind().await);
    let tenant = house.tenant();
    let made = house.endpoint(tenant, &sink, json!({})).await;
    assert_eq!(made["status"], "unverified");
    house.publish(tenant, "order.created", json!({})).await;
    assert_eq!(house.carry().await, 0);
    let path = format!("/v1/webhook-endpoints/{}/verify", text(&made["id"]));
    house.post(tenant, &path, Value::Null).await.expect(409);
    sink.set(Manner::Each(vec![500]));
    house.post(tenant, &path, Value::Null).await.expect(409);
    sink.set(Manner::Echo);
    assert_eq!(house.post(tenant, &path, Value::Null).await.expect(200)["status"], "enabled");
    house.publish(tenant, "order.created", json!({})).await;
    assert_eq!(house.carry().await, 1);
}

#[tokio::test]
async fn no_change_takes_the_place_of_the_proof_that_an_endpoint_is_ones_own() {
    let config =
        Config { private_hosts_allowed: true, ownership_checked: true, ..Config::default() };
    let (house, sink) = (House::with(config).await, Sink::new(Manner::Echo).await);
    let tenant = house.tenant();
    let made = house.endpoint(tenant, &sink, json!({})).await;
    let path = format!("/v1/webhook-endpoints/{}", text(&made["id"]));
    let status =
        async |change: Value| text(&house.patch(tenant, &path, change).await.expect(200)["status"]);
    let prove = async || {
        let proven = house.post(tenant, &format!("{path}/verify"), Value::Null).await;
        assert_eq!(proven.expect(200)["status"], "enabled");
    };
    assert_eq!(status(json!({"enabled": false})).await, "disabled");
    assert_eq!(status(json!({"enabled": true})).await, "unverified", "it never proved itself");
    prove().await;
    assert_eq!(status(json!({"description": "Shop"})).await, "enabled");
    assert_eq!(status(json!({"url": made["url"]})).await, "enabled", "the same address");
    let elsewhere = json!({"url": format!("{}other", text(&made["url"]))});
    assert_eq!(status(elsewhere).await, "unverified", "another address may be another's");
    house.publish(tenant, "order.created", json!({})).await;
    assert_eq!(house.carry().await, 0);
    prove().await;
    assert_eq!(status(json!({"enabled": false, "url": made["url"]})).await, "disabled");
    assert_eq!(status(json!({"enabled": true})).await, "unverified");
}

#[tokio::test]
async fn a_test_event_shows_what_came_back() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![503])).await);
    let tenant = house.tenant();
    let made = house.endpoint(tenant, &sink, json!({})).await;
    let path = format!("/v1/webhook-endpoints/{}/test", text(&made["id"]));
    let sent = house.post(tenant, &path, Value::Null).await.expect(200);
    assert_eq!((&sent["status"], &sent["error"]), (&json!(503), &json!("answered 503")));
    let heard = sink.heard().remove(0);
    assert_eq!(heard.json()["type"], "webhook_endpoint.test");
    assert_eq!(text(&sent["request_body"]).as_bytes(), heard.body);
    assert!(house.deliveries(tenant).await.is_empty());
}

#[tokio::test]
async fn signatures_can_be_made_and_checked_by_hand() {
    let house = House::new().await;
    let tenant = house.tenant();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let made = json!({"secret": secret, "id": "evt_1", "body": "{\"a\": 1}"});
    let signed = house.post(tenant, "/v1/webhook-signatures", made).await.expect(200);
    let check = |body: &str| {
        json!({
            "secret": secret, "id": "evt_1", "timestamp": signed["webhook-timestamp"],
            "signature": signed["webhook-signature"], "body": body,
        })
    };
    let path = "/v1/webhook-signatures/verify";
    let genuine = house.post(tenant, path, check("{\"a\": 1}")).await.expect(200);
    assert_eq!((&genuine["genuine"], &genuine["reason"]), (&json!(true), &json!("genuine")));
    let other = house.post(tenant, path, check("{\"a\": 2}")).await.expect(200);
    assert_eq!((&other["genuine"], &other["reason"]), (&json!(false), &json!("mismatch")));
    let bad = json!({"secret": "whsec_x", "id": "evt_1", "body": ""});
    house.post(tenant, "/v1/webhook-signatures", bad).await.expect(422);
}

#[tokio::test]
async fn only_administrators_change_endpoints_and_nobody_sees_anothers() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (own, other) = (house.tenant(), house.tenant());
    let made = house.endpoint(own, &sink, json!({})).await;
    let id = text(&made["id"]);
    house.publish(own, "order.created", json!({})).await;
    house.carry().await;
    let delivery = text(&house.deliveries(own).await[0]["id"]);
    let endpoint = format!("/v1/webhook-endpoints/{id}");
    let since = json!({"since": "2026-01-01T00:00:00Z"});
    let changes = [
        (Method::POST, "/v1/webhook-endpoints".to_owned(), json!({"url": sink.url()})),
        (Method::PATCH, endpoint.clone(), json!({"description": "x"})),
        (Method::POST, format!("{endpoint}/secret/rotate"), json!({})),
        (Method::POST, format!("{endpoint}/test"), Value::Null),
        (Method::POST, format!("{endpoint}/verify"), Value::Null),
        (Method::POST, format!("{endpoint}/replay"), since),
        (Method::POST, format!("/v1/webhook-deliveries/{delivery}/retry"), Value::Null),
        (Method::POST, "/v1/dead-letters/replay".to_owned(), json!({})),
        (Method::DELETE, endpoint.clone(), Value::Null),
    ];
    for (method, path, body) in changes {
        let body = Some(body);
        house.call((own, Role::Supervisor), method.clone(), &path, body.clone()).await.expect(403);
        if path.contains('_') {
            house.call((other, Role::Owner), method, &path, body).await.expect(404);
        }
    }
    let looks = [endpoint, format!("/v1/webhook-deliveries/{delivery}")];
    for path in &looks {
        house.call((own, Role::Agent), Method::GET, path, None).await.expect(403);
        house.call((own, Role::Supervisor), Method::GET, path, None).await.expect(200);
        house.get(other, path).await.expect(404);
    }
    for path in ["/v1/webhook-endpoints", "/v1/webhook-deliveries", "/v1/dead-letters"] {
        house.call((own, Role::Agent), Method::GET, path, None).await.expect(403);
        assert_eq!(house.get(other, path).await.expect(200)["data"], json!([]));
    }
}

#[tokio::test]
async fn a_plan_allows_so_many_endpoints_also_if_many_are_made_at_once() {
    let config = Config { private_hosts_allowed: true, ..Config::default() };
    let database = misy_testkit::TestDatabase::create().await;
    let plan = Arc::<misy_testkit::Plan>::default();
    plan.allow(2);
    let (house, sink) = (House::limited(database, config, plan), Sink::kind().await);
    let tenant = house.tenant();
    let new = json!({ "url": sink.url() });
    let make = |_| house.post(tenant, "/v1/webhook-endpoints", new.clone());
    let answers = futures_util::future::join_all((0..12).map(make)).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 403).count();
    assert_eq!((made, refused), (2, 10));
    let detail = answers.iter().find(|answer| answer.status == 403).expect("one");
    assert_eq!(detail.body["code"], "quota.exceeded");
}
