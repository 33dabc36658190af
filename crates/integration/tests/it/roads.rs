//! Room `integration`: how deliveries travel: retries, orders, limits, the end of an endpoint.

use std::time::Duration;

use misy_store::News;
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::{Manner, Sink};

async fn one(house: &House, sink: &Sink, more: Value) -> (misy_core::TenantId, String) {
    let tenant = house.tenant();
    let endpoint = house.endpoint(tenant, sink, more).await;
    (tenant, text(&endpoint["id"]))
}

#[tokio::test]
async fn a_failure_is_tried_again_with_the_same_id_and_every_try_is_kept() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![500, 302, 200])).await);
    let (tenant, _) = one(&house, &sink, json!({})).await;
    let id = house.publish(tenant, "order.created", json!({"n": 1})).await;
    assert_eq!(house.carry().await, 1);
    assert_eq!(house.carry().await, 0, "not before its time");
    let waiting = house.deliveries(tenant).await.remove(0);
    assert_eq!((&waiting["status"], &waiting["last_status"]), (&json!("pending"), &json!(500)));
    house.later(7);
    assert_eq!(house.carry().await, 1);
    house.later(400);
    assert_eq!(house.carry().await, 1);
    let heard = sink.heard();
    assert!(heard.iter().all(|one| one.header("webhook-id") == id && one.body == heard[0].body));
    assert_ne!(heard[0].header("webhook-signature"), heard[2].header("webhook-signature"));
    let path = format!("/v1/webhook-deliveries/{}", text(&waiting["id"]));
    let whole = house.get(tenant, &path).await.expect(200);
    assert_eq!((&whole["status"], &whole["attempts"]), (&json!("succeeded"), &json!(3)));
    let log = whole["attempt_log"].as_array().expect("a list");
    let statuses: Vec<_> = log.iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, [500, 302, 200]);
    assert_eq!(log[0]["address"], format!("127.0.0.1:{}", sink.port()));
    assert!(text(&log[0]["request"]["headers"]["webhook-signature"]).starts_with("v1,"));
}

#[tokio::test]
async fn after_the_last_try_it_is_a_dead_letter() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![500])).await);
    let settings = json!({"settings": {"retry_schedule_s": [5]}});
    let (tenant, endpoint) = one(&house, &sink, settings).await;
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    house.later(10);
    house.carry().await;
    assert_eq!(house.deliveries(tenant).await[0]["status"], "dead");
    let letters = house.get(tenant, "/v1/dead-letters").await.expect(200);
    let letter = &letters["data"][0];
    assert_eq!((&letter["endpoint_id"], &letter["attempts"]), (&json!(endpoint), &json!(2)));
    assert_eq!(letter["reason"], "answered 500");
}

#[tokio::test]
async fn gone_switches_the_endpoint_off_and_tells_the_others() {
    let (house, sink, other) =
        (House::new().await, Sink::new(Manner::Each(vec![410])).await, Sink::kind().await);
    let (tenant, gone) = one(&house, &sink, json!({"event_types": ["order.*"]})).await;
    house.endpoint(tenant, &other, json!({"event_types": ["webhook_endpoint.disabled"]})).await;
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    let endpoint = house.get(tenant, &format!("/v1/webhook-endpoints/{gone}")).await.expect(200);
    assert_eq!(
        (&endpoint["status"], &endpoint["disabled_reason"]),
        (&json!("disabled"), &json!("gone"))
    );
    let told = other.heard()[0].json();
    assert_eq!(
        (&told["data"]["endpoint_id"], &told["data"]["reason"]),
        (&json!(gone), &json!("gone"))
    );
    house.publish(tenant, "order.created", json!({})).await;
    assert_eq!(house.carry().await, 0);
}

#[tokio::test]
async fn who_runs_the_tenant_hears_once_that_an_endpoint_is_off_unless_they_do_not_want_to() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![410; 8])).await);
    let (tenant, id) = one(&house, &sink, json!({"settings": {"retry_schedule_s": [1]}})).await;
    let quiet = json!({"settings": {"mail_when_disabled": false}});
    let (other, _) = one(&house, &sink, quiet).await;
    for tenant in [tenant, other] {
        for _ in 0..3 {
            house.publish(tenant, "order.created", json!({})).await;
        }
        house.carry().await;
        house.later(2);
        house.carry().await;
    }
    let told = std::mem::take(&mut *house.news.0.lock().expect("no panic"));
    let [(whose, news @ News::EndpointDisabled { endpoint, reason, .. })] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((*whose, endpoint.to_string(), reason.as_str()), (tenant, id.clone(), "gone"));
    let written = serde_json::to_string(news).expect("JSON");
    assert!(
        !written.contains("127.0.0.1"),
        "it lies in the queue, where no address may: {written}"
    );
    let path = format!("/v1/webhook-endpoints/{id}");
    house.patch(tenant, &path, json!({"enabled": false})).await.expect(200);
    assert!(house.news.0.lock().expect("no panic").is_empty(), "who does it need not be told");
    house.patch(tenant, &path, json!({"enabled": true})).await.expect(200);
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    assert_eq!(house.news.0.lock().expect("no panic").len(), 1, "each time it is news again");
}

#[tokio::test]
async fn days_of_nothing_but_failures_switch_it_off_and_one_success_saves_it() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![500, 200, 500])).await);
    let settings = json!({"settings": {"retry_schedule_s": []}});
    let (tenant, id) = one(&house, &sink, settings).await;
    let path = format!("/v1/webhook-endpoints/{id}");
    let day = 24 * 3_600;
    let mut standing = Vec::new();
    for pause in [0, 2 * day, day, 4 * day, 2 * day] {
        house.later(pause);
        house.publish(tenant, "order.created", json!({})).await;
        house.carry().await;
        let now = house.get(tenant, &path).await.expect(200);
        standing.push((text(&now["status"]), now["failing_since"].is_null()));
    }
    let enabled = |well| ("enabled".to_owned(), well);
    assert_eq!(standing[..4], [enabled(false), enabled(true), enabled(false), enabled(false)]);
    assert_eq!(standing[4].0, "disabled");
    let back = house.patch(tenant, &path, json!({"enabled": true})).await.expect(200);
    assert_eq!((&back["status"], &back["failing_since"]), (&json!("enabled"), &Value::Null));
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept_for_everything_to_that_endpoint() {
    let throttled = Manner::Status(429, "retry-after: 100\r\n", Duration::ZERO);
    let (house, sink) = (House::new().await, Sink::new(throttled).await);
    let (tenant, _) = one(&house, &sink, json!({})).await;
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    sink.set(Manner::Status(200, "", Duration::ZERO));
    house.publish(tenant, "order.paid", json!({})).await;
    house.carry().await;
    assert_eq!(sink.heard().len(), 1, "the second waits as well");
    house.later(101);
    house.carry().await;
    assert_eq!(sink.heard().len(), 3);
    let attempts: Vec<_> =
        house.deliveries(tenant).await.iter().map(|one| one["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 2], "waiting is no attempt");
}

#[tokio::test]
async fn a_rate_is_kept_without_counting_attempts() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (tenant, _) = one(&house, &sink, json!({"settings": {"rate_per_s": 10}})).await;
    for _ in 0..12 {
        house.publish(tenant, "order.created", json!({})).await;
    }
    house.carry().await;
    assert!(sink.heard().len() <= 3, "{}", sink.heard().len());
    house.later(2);
    for _ in 0..6 {
        house.carry().await;
        house.later(1);
    }
    assert_eq!(sink.heard().len(), 12);
    assert!(house.deliveries(tenant).await.iter().all(|one| one["attempts"] == 1));
}

#[tokio::test]
async fn in_order_means_that_nothing_overtakes_what_failed() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![200, 500, 200])).await);
    let (tenant, _) = one(&house, &sink, json!({"fifo": true})).await;
    for number in 0..50 {
        house.publish(tenant, "order.created", json!({"n": number})).await;
    }
    house.carry().await;
    let numbers = |sink: &Sink| -> Vec<i64> {
        sink.heard().iter().filter_map(|one| one.json()["data"]["n"].as_i64()).collect()
    };
    assert_eq!(numbers(&sink), [0, 1]);
    house.publish(tenant, "order.created", json!({"n": 50})).await;
    house.carry().await;
    assert_eq!(numbers(&sink), [0, 1]);
    house.later(7);
    house.carry().await;
    let wanted: Vec<i64> = [0, 1].into_iter().chain(1..51).collect();
    assert_eq!(numbers(&sink), wanted);
    assert_eq!(sink.most_at_once(), 1);
}

#[tokio::test]
async fn an_endpoint_never_has_more_under_way_than_its_cap() {
    let slow = Manner::Status(200, "", Duration::from_millis(30));
    let (house, sink) = (House::new().await, Sink::new(slow).await);
    let (tenant, _) = one(&house, &sink, json!({"in_flight": 3})).await;
    let events: Vec<_> = (0..20).map(|_| json!({"type": "order.created", "data": {}})).collect();
    house.post(tenant, "/v1/events", json!({"events": events})).await.expect(202);
    assert_eq!(house.carry().await, 20);
    assert_eq!((sink.most_at_once(), sink.heard().len()), (3, 20));
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_switched_off_becomes_a_dead_letter() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (tenant, id) = one(&house, &sink, json!({})).await;
    house.publish(tenant, "order.created", json!({})).await;
    let path = format!("/v1/webhook-endpoints/{id}");
    house.patch(tenant, &path, json!({"enabled": false})).await.expect(200);
    house.carry().await;
    assert_eq!(sink.connections(), 0);
    let letters = house.get(tenant, "/v1/dead-letters").await.expect(200);
    assert_eq!(letters["data"][0]["reason"], "the endpoint is off or gone");
    assert_eq!(letters["data"][0]["attempts"], 0);
}
