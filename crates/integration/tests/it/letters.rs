//! Room `integration`: dead letters, replays, and what is kept for how long.

use misy_core::TenantId;
use serde_json::{Value, json};

use crate::house::{House, ctx, text};
use crate::sink::{Manner, Sink};

/// A tenant whose endpoint gives up at once, with so many dead letters.
async fn dead(house: &House, sink: &Sink, count: usize) -> (TenantId, String) {
    let tenant = house.tenant();
    sink.set(Manner::Each(vec![500]));
    let made = house.endpoint(tenant, sink, json!({"settings": {"retry_schedule_s": []}})).await;
    for _ in 0..count {
        house.publish(tenant, "order.created", json!({})).await;
    }
    assert_eq!(house.carry().await, count);
    sink.set(Manner::Each(vec![200]));
    (tenant, text(&made["id"]))
}

async fn letters(house: &House, tenant: TenantId) -> Vec<Value> {
    let listed = house.get(tenant, "/v1/dead-letters").await.expect(200);
    listed["data"].as_array().expect("a list").clone()
}

/// Has a replay run to its end; gives what it says then.
async fn replay(house: &House, tenant: TenantId, path: &str, wish: Value) -> Value {
    let begun = house.post(tenant, path, wish).await.expect(202);
    assert_eq!(begun["status"], "running");
    house.run().await;
    let path = format!("/v1/webhook-replays/{}", text(&begun["id"]));
    house.get(house.tenant(), &path).await.expect(404);
    house.get(tenant, &path).await.expect(200)
}

#[tokio::test]
async fn one_dead_letter_is_replayed_with_the_same_id_and_the_others_stay() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (tenant, _) = dead(&house, &sink, 3).await;
    let letter = letters(&house, tenant).await.remove(1);
    let wish = json!({"id": letter["id"]});
    let done = replay(&house, tenant, "/v1/dead-letters/replay", wish).await;
    assert_eq!((&done["status"], &done["progress"]["replayed"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(sink.heard()[3].header("webhook-id"), text(&letter["event_id"]));
    assert_eq!(letters(&house, tenant).await.len(), 2);
    let old = format!("/v1/webhook-deliveries/{}", text(&letter["id"]));
    assert_eq!(
        house.get(tenant, &old).await.expect(200)["status"],
        "dead",
        "it moves forward only"
    );
    let new = house.deliveries(tenant).await.remove(0);
    assert_eq!((&new["replay_of"], &new["status"]), (&letter["id"], &json!("succeeded")));
}

#[tokio::test]
async fn all_dead_letters_of_a_filter_are_replayed() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (tenant, endpoint) = dead(&house, &sink, 5).await;
    let path = "/v1/dead-letters/replay";
    let none = replay(&house, tenant, path, json!({"event_type": "order.paid"})).await;
    assert_eq!(none["progress"]["replayed"], 0);
    let later = replay(&house, tenant, path, json!({"since": "2026-03-02T00:00:00Z"})).await;
    assert_eq!(later["progress"]["replayed"], 0);
    let all = replay(&house, tenant, path, json!({"endpoint_id": endpoint})).await;
    assert_eq!((&all["progress"]["replayed"], letters(&house, tenant).await.len()), (&json!(5), 0));
    assert_eq!(sink.heard().len(), 10);
}

#[tokio::test]
async fn a_forgotten_letter_is_not_replayed() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (tenant, _) = dead(&house, &sink, 2).await;
    let path = format!("/v1/dead-letters/{}", text(&letters(&house, tenant).await[0]["id"]));
    house.delete(house.tenant(), &path).await.expect(404);
    house.get(tenant, &path).await.expect(200);
    house.delete(tenant, &path).await.expect(204);
    house.delete(tenant, &path).await.expect(404);
    let done = replay(&house, tenant, "/v1/dead-letters/replay", json!({})).await;
    assert_eq!(done["progress"]["replayed"], 1);
}

#[tokio::test]
async fn an_endpoint_gets_all_that_it_missed_while_it_was_off_and_nothing_twice() {
    let (house, sink, other) = (House::new().await, Sink::kind().await, Sink::kind().await);
    let tenant = house.tenant();
    let wish = json!({"event_types": ["order.*"]});
    let id = text(&house.endpoint(tenant, &sink, wish).await["id"]);
    let path = format!("/v1/webhook-endpoints/{id}");
    house.publish(tenant, "order.created", json!({"n": 0})).await;
    house.carry().await;
    house.patch(tenant, &path, json!({"enabled": false})).await.expect(200);
    house.endpoint(tenant, &other, json!({})).await;
    for batch in 0..5 {
        house.later(1);
        let event = |n: usize| json!({"type": "order.paid", "data": {"n": batch * 250 + n + 1}});
        let events: Vec<Value> = (0..250).map(event).collect();
        house.post(tenant, "/v1/events", json!({ "events": events })).await.expect(202);
    }
    house.publish(tenant, "invoice.sent", json!({})).await;
    house.carry().await;
    let replay_path = format!("{path}/replay");
    let since = json!({"since": "2026-03-01T00:00:00Z"});
    house.post(tenant, &replay_path, since.clone()).await.expect(409);
    house.patch(tenant, &path, json!({"enabled": true})).await.expect(200);
    let done = replay(&house, tenant, &replay_path, since.clone()).await;
    assert_eq!(done["progress"], json!({"looked_at": 1_252, "replayed": 1_250}));
    let mut numbers: Vec<i64> =
        sink.heard().iter().filter_map(|one| one.json()["data"]["n"].as_i64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..=1_250).collect::<Vec<_>>());
    let again = replay(&house, tenant, &replay_path, since).await;
    assert_eq!(again["progress"]["replayed"], 0);
}

#[tokio::test]
async fn a_replay_goes_on_in_another_process_where_one_that_died_left_it() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let id = text(&house.endpoint(tenant, &sink, json!({})).await["id"]);
    let path = format!("/v1/webhook-endpoints/{id}");
    house.patch(tenant, &path, json!({"enabled": false})).await.expect(200);
    for batch in 0..6 {
        house.later(1);
        let event = |n: usize| json!({"type": "order.paid", "data": {"n": batch * 500 + n}});
        let events: Vec<Value> = (0..500).map(event).collect();
        house.post(tenant, "/v1/events", json!({ "events": events })).await.expect(202);
    }
    house.patch(tenant, &path, json!({"enabled": true})).await.expect(200);
    let wish = json!({"since": "2026-03-01T00:00:00Z"});
    let begun = house.post(tenant, &format!("{path}/replay"), wish).await.expect(202);
    // Wherever it is by then, in a step or between two, it ends there.
    let _ = tokio::time::timeout(std::time::Duration::from_millis(60), house.run()).await;
    let House { database, deps, .. } = house;
    let next = House::on(database, deps.config.clone());
    drop(deps);
    // The leases of the one that died are over.
    next.later(3_600);
    while next.run().await > 0 {}
    let path = format!("/v1/webhook-replays/{}", text(&begun["id"]));
    let done = next.get(tenant, &path).await.expect(200);
    assert_eq!(done["status"], "succeeded");
    assert_eq!(done["progress"]["replayed"], 3_000);
    let ids: std::collections::BTreeSet<String> =
        sink.heard().iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids.len(), 3_000, "each, and what came twice came under one id");
    assert!(next.deliveries(tenant).await.iter().all(|one| one["status"] == "succeeded"));
}

#[tokio::test]
async fn a_delivery_is_repeated_at_a_persons_wish() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let endpoint = text(&house.endpoint(tenant, &sink, json!({})).await["id"]);
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    let old = house.deliveries(tenant).await.remove(0);
    let path = format!("/v1/webhook-deliveries/{}/retry", text(&old["id"]));
    let new = house.post(tenant, &path, Value::Null).await.expect(202);
    assert_eq!((&new["replay_of"], &new["status"]), (&old["id"], &json!("pending")));
    house.carry().await;
    let heard = sink.heard();
    assert_eq!(heard[0].header("webhook-id"), heard[1].header("webhook-id"));
    house.delete(tenant, &format!("/v1/webhook-endpoints/{endpoint}")).await.expect(204);
    house.post(tenant, &path, Value::Null).await.expect(409);
}

#[tokio::test]
async fn days_are_made_before_they_come_and_dropped_whole() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let leaves = "select count(*) from pg_class where relispartition and relkind = 'r'
        and relname ~ '^webhook_[a-z]+_[0-9]{8}$'";
    let rest = "select count(*) from webhook_events_rest";
    let platform = misy_testkit::platform_ctx();
    let keep = |days| misy_store::outbox::keep_days(&house.deps.db, &platform, days);
    assert_eq!(keep(30).await.expect("it may"), 6 * 9, "yesterday, today and a week, of each");
    assert_eq!(keep(30).await.expect("it may"), 0);
    house.endpoint(tenant, &sink, json!({})).await;
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    assert_eq!(house.count(rest).await, 0);
    assert_eq!(house.deliveries(tenant).await[0]["status"], "succeeded");
    house.later(20 * 24 * 3_600);
    keep(30).await.expect("it may");
    assert_eq!(house.deliveries(tenant).await.len(), 1);
    house.later(20 * 24 * 3_600);
    keep(30).await.expect("it may");
    assert!(house.deliveries(tenant).await.is_empty());
    let events = house.get(tenant, "/v1/events").await.expect(200);
    assert_eq!((&events["data"], house.count(leaves).await > 0), (&json!([]), true));
    house.publish(tenant, "order.paid", json!({})).await;
    assert_eq!((house.carry().await, house.count(rest).await), (1, 0));
}

#[tokio::test]
async fn a_dead_letter_goes_with_the_day_of_its_event() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let platform = misy_testkit::platform_ctx();
    let keep = |days| misy_store::outbox::keep_days(&house.deps.db, &platform, days);
    keep(30).await.expect("it may");
    let (tenant, _) = dead(&house, &sink, 2).await;
    house.later(20 * 24 * 3_600);
    keep(30).await.expect("it may");
    assert_eq!(letters(&house, tenant).await.len(), 2);
    house.later(12 * 24 * 3_600);
    keep(30).await.expect("it may");
    assert!(letters(&house, tenant).await.is_empty(), "nothing could be replayed of it");
}

#[tokio::test]
async fn what_lies_in_no_day_goes_as_soon_as_all_of_it_is_over() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let platform = misy_testkit::platform_ctx();
    let keep = |days| misy_store::outbox::keep_days(&house.deps.db, &platform, days);
    // No day was made yet, so all of it lies in the rest.
    let (tenant, _) = dead(&house, &sink, 2).await;
    let rest = "select (select count(*) from webhook_events_rest)
        + (select count(*) from webhook_deliveries_rest)
        + (select count(*) from webhook_attempts_rest)
        + (select count(*) from webhook_dead_letters_rest)";
    assert_eq!(house.count(rest).await, 8);
    house.later(29 * 24 * 3_600);
    keep(30).await.expect("it may");
    assert_eq!((house.count(rest).await, letters(&house, tenant).await.len()), (8, 2));
    house.later(3 * 24 * 3_600);
    keep(30).await.expect("it may");
    assert_eq!(house.count(rest).await, 0);
}

#[tokio::test]
async fn a_tenant_reaches_no_partition_and_no_parcel_of_another() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (own, other) = (house.tenant(), house.tenant());
    house.endpoint(own, &sink, json!({})).await;
    house.publish(own, "order.created", json!({})).await;
    let db = &house.deps.db;
    for table in ["parcels", "webhook_deliveries", "webhook_events"] {
        let sql = format!("select count(*) as number from {table}");
        for (tenant, wanted) in [(own, 1), (other, 0)] {
            let mut tx = db.read(&ctx(tenant)).await.expect("a connection");
            let row = tx.query_opt(&sql, &[]).await.expect("granted").expect("one row");
            assert_eq!(row.get::<_, i64>("number"), wanted, "{table}");
        }
    }
    let mut tx = db.read(&ctx(own)).await.expect("a connection");
    assert!(tx.query_opt("select * from webhook_events_rest", &[]).await.is_err());
    let mut tx = db.read(&ctx(own)).await.expect("a connection");
    let sweep = "select misy_keep_webhook_days(now(), 1, 1)";
    assert!(tx.query_opt(sweep, &[]).await.is_err(), "days are the platform's to keep");
}
