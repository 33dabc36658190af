//! Room `integration`: nobody's backlog is another's wait, and nothing accepted is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use misy_integration::{Config, Postman};
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::{Manner, Sink};

fn batch(count: usize) -> Value {
    let events: Vec<Value> = (0..count).map(|n| json!({"type": "a.b", "data": {"n": n}})).collect();
    json!({ "events": events })
}

#[tokio::test]
async fn a_backlog_and_a_silent_endpoint_hold_up_no_other_tenant() {
    let config = Config { private_hosts_allowed: true, ..Config::default() };
    let (house, silent, flooded, quick) = (
        House::with(config).await,
        Sink::new(Manner::Silence).await,
        Sink::new(Manner::Status(200, "", Duration::from_millis(100))).await,
        Sink::kind().await,
    );
    let (loud, flood, quiet) = (house.tenant(), house.tenant(), house.tenant());
    house.endpoint(loud, &silent, json!({})).await;
    house.endpoint(flood, &flooded, json!({"in_flight": 5})).await;
    house.endpoint(quiet, &quick, json!({})).await;
    house.post(loud, "/v1/events", batch(500)).await.expect(202);
    for _ in 0..4 {
        house.post(flood, "/v1/events", batch(500)).await.expect(202);
    }
    let running = Postman::courier(&house.deps, None).start();
    while flooded.connections() == 0 || silent.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.post(quiet, "/v1/events", batch(50)).await.expect(202);
    // The others need far longer than this loop: 15 s and 40 s.
    while quick.heard().len() < 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(flooded.heard().len() < 1_000, "the backlog is not through yet");
    assert!(silent.connections() <= 100, "an endpoint has its cap under way and no more");
    drop(running);
}

#[tokio::test]
async fn retries_leave_room_for_what_goes_out_for_the_first_time() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![500])).await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({"in_flight": 4})).await;
    house.post(tenant, "/v1/events", batch(40)).await.expect(202);
    house.carry().await;
    house.later(10);
    house.post(tenant, "/v1/events", batch(40)).await.expect(202);
    sink.set(Manner::Each(vec![200]));
    house.carry().await;
    let order: Vec<String> =
        sink.heard()[40..].iter().map(|one| one.header("webhook-id")).collect();
    let first: BTreeSet<String> =
        sink.heard()[..40].iter().map(|one| one.header("webhook-id")).collect();
    let early = order[..40].iter().filter(|id| !first.contains(*id)).count();
    assert!((15..=40).contains(&early), "{early} of the first 40 are new");
}

#[tokio::test]
async fn one_of_many_endpoints_fills_its_places_at_once() {
    let courier =
        misy_jobs::parcels::Config { under_way: 100, poll_ms: 60_000, ..Default::default() };
    let config = Config { private_hosts_allowed: true, courier, ..Config::default() };
    let (house, sink) = (House::with(config).await, Sink::new(Manner::Silence).await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    for _ in 0..19 {
        house.endpoint(tenant, &sink, json!({"event_types": ["c.d"], "in_flight": 1})).await;
    }
    house.post(tenant, "/v1/events", batch(27)).await.expect(202);
    let of_all = json!({"type": "c.d", "data": {}});
    let of_all = json!({"events": [of_all, of_all, of_all]});
    house.post(tenant, "/v1/events", of_all).await.expect(202);
    let running = Postman::courier(&house.deps, None).start();
    // Each endpoint offers ten to a claim. No answer frees a place, and only after 5 s is looked
    // again without a reason.
    let all_are_out = async {
        while sink.connections() < 30 + 19 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(4), all_are_out).await;
    assert!(waited.is_ok(), "{} of 49 are under way", sink.connections());
    drop(running);
}

#[tokio::test]
async fn it_is_known_how_long_the_oldest_waits() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Each(vec![500])).await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let waiting = async || {
        let ctx = misy_testkit::platform_ctx();
        let waiting = misy_jobs::parcels::count(&house.deps.db, &ctx, 100).await;
        waiting.expect("the database answers")
    };
    assert_eq!(waiting().await, misy_jobs::parcels::Waiting::default());
    let begun = house.deps.ambient.now();
    house.post(tenant, "/v1/events", batch(3)).await.expect(202);
    house.carry().await;
    house.later(2);
    let second = house.deps.ambient.now();
    house.post(tenant, "/v1/events", batch(2)).await.expect(202);
    let now = waiting().await;
    assert_eq!((now.ready, now.later), (2, 3));
    let of_a_second = |at: Option<misy_core::Timestamp>| at.map(misy_core::Timestamp::as_second);
    let wanted = (Some(begun.as_second()), Some(second.as_second()));
    assert_eq!((of_a_second(now.oldest), of_a_second(now.oldest_first)), wanted);
}

#[tokio::test]
async fn a_courier_that_dies_loses_nothing_and_another_takes_over() {
    let (house, sink) = (House::new().await, Sink::new(Manner::Silence).await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let accepted = house.post(tenant, "/v1/events", batch(60)).await.expect(202);
    let accepted: BTreeSet<String> =
        accepted["data"].as_array().expect("ids").iter().map(|one| text(&one["id"])).collect();
    let running = Postman::courier(&house.deps, None).start();
    while sink.connections() < 60 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Its end is not waited for: the runtime of the sends ends with it in the middle of all.
    std::mem::drop(tokio::time::timeout(Duration::ZERO, running.stop()).await);
    sink.set(Manner::Each(vec![200]));
    house.later(200);
    while house.carry().await > 0 {}
    let delivered: BTreeSet<String> =
        sink.heard().iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(delivered, accepted);
    assert_eq!(house.count("select count(*) from parcels").await, 0);
    let done = "select count(*) from webhook_deliveries where status = 'succeeded'";
    assert_eq!(house.count(done).await, 60);
}
