//! Room `integration`: what was received is told again, as much as is wanted, however much it is.

use http::Method;
use misy_core::{Role, TenantId};
use serde_json::{Value, json};

use super::address::{send, source};
use crate::house::{House, text};
use crate::sink::Sink;

const REPLAY: &str = "/v1/source-receipts/replay";

/// Has a replay run to its end; gives what it says then.
async fn replay(house: &House, tenant: TenantId, wish: Value) -> Value {
    let begun = house.post(tenant, REPLAY, wish).await.expect(202);
    assert_eq!((&begun["status"], &begun["progress"]["replayed"]), (&json!("running"), &json!(0)));
    while house.run().await > 0 {}
    let path = format!("/v1/webhook-replays/{}", text(&begun["id"]));
    house.get(house.tenant(), &path).await.expect(404);
    house.get(tenant, &path).await.expect(200)
}

/// The numbers in what an endpoint heard, as they came.
fn numbers(sink: &Sink) -> Vec<i64> {
    let heard = sink.heard();
    heard.iter().filter_map(|one| one.json()["data"]["content"]["n"].as_i64()).collect()
}

/// A source whose schema nothing keeps to, and what was received from it, a minute each.
async fn received(house: &House, tenant: TenantId, numbers: std::ops::Range<u32>) -> String {
    let strict = json!({"schema": {"type": "object", "required": ["absent"]}});
    let source = source(house, tenant, strict).await;
    for number in numbers {
        let body = format!("{{\"n\": {number}}}");
        assert_eq!(send(house, &source, &number.to_string(), &body).await, 200);
        house.later(60);
    }
    house.run().await;
    source
}

async fn mend(house: &House, tenant: TenantId, source: &str) {
    let change = json!({"settings": {"preset": "github"}});
    house.patch(tenant, &format!("/v1/sources/{source}"), change).await.expect(200);
}

#[tokio::test]
async fn what_a_filter_and_a_time_name_is_told_again_and_nothing_else() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({"event_types": ["webhook_source.received"]})).await;
    let mended = received(&house, tenant, 0..5).await;
    let other = received(&house, tenant, 5..7).await;
    assert!(sink.heard().is_empty(), "nothing kept to the schema");
    mend(&house, tenant, &mended).await;
    mend(&house, tenant, &other).await;
    let listed = house.get(tenant, "/v1/source-receipts?status=invalid").await.expect(200);
    let times: Vec<&Value> =
        listed["data"].as_array().expect("a list").iter().map(|one| &one["received_at"]).collect();
    // Newest first: 6 5 4 3 2 1 0.
    let wish = json!({"source_id": mended, "status": "invalid", "since": times[5]});
    let wish = |until: &Value| {
        let mut wish = wish.clone();
        wish["until"] = until.clone();
        wish
    };
    let none = replay(&house, tenant, json!({"status": "forwarded"})).await;
    assert_eq!(none["progress"], json!({"looked_at": 0, "replayed": 0}));
    let done = replay(&house, tenant, wish(times[2])).await;
    assert_eq!(done["status"], "succeeded");
    let mut told = numbers(&sink);
    told.sort_unstable();
    assert!(told == [1, 2, 3] || told == [1, 2, 3, 4], "{told:?}: `until` is in milliseconds");
    let left = house.get(tenant, "/v1/source-receipts?status=invalid").await.expect(200);
    let left = left["data"].as_array().expect("a list").len();
    assert_eq!(left + told.len(), 7);
    // The rest, without saying which: what was told before is told again because all is asked for.
    let all = replay(&house, tenant, json!({})).await;
    assert_eq!(all["progress"], json!({"looked_at": 7, "replayed": 7}));
    let mut again = numbers(&sink).split_off(told.len());
    again.sort_unstable();
    assert_eq!(again, (0..7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_replay_of_what_was_received_has_no_cap_and_goes_on_where_a_process_died() {
    let house = House::new().await;
    let tenant = house.tenant();
    let source = received(&house, tenant, 0..1).await;
    let more = "
        with more as (
            insert into source_receipts
            select (jsonb_populate_record(one, jsonb_build_object('id',
                left(one.id::text, 24) || lpad(to_hex(number), 12, '0')))).*
            from source_receipts one, generate_series(1, 2500) number returning id)
        select count(*) from more";
    assert_eq!(house.count(more).await, 2_500);
    mend(&house, tenant, &source).await;
    house.later(60);
    let begun = house.post(tenant, REPLAY, json!({"source_id": source})).await.expect(202);
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
    assert_eq!(done["progress"], json!({"looked_at": 2_501, "replayed": 2_501}));
    let told = "select count(*) from source_receipts where status = 'forwarded'";
    assert_eq!(next.count(told).await, 2_501);
    let events = "select count(*) from webhook_events where type = 'webhook_source.received'";
    assert_eq!(next.count(events).await, 2_501, "each was told once");
}

#[tokio::test]
async fn only_what_is_ones_own_and_kept_is_replayed_and_only_by_who_may() {
    let house = House::new().await;
    let (mine, theirs) = (house.tenant(), house.tenant());
    let source = received(&house, theirs, 0..1).await;
    for strange in [source.as_str(), "src_01k8zq5m3ge0r8v0w1x2y3z4a5"] {
        house.post(mine, REPLAY, json!({"source_id": strange})).await.expect(404);
    }
    let all = replay(&house, mine, json!({})).await;
    assert_eq!(all["progress"]["looked_at"], 0, "nothing of anybody else");
    for status in ["refused", "duplicate"] {
        let refused = house.post(mine, REPLAY, json!({"status": status})).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/status");
    }
    house.post(mine, REPLAY, json!({"status": "odd"})).await.expect(422);
    house.post(mine, REPLAY, json!({"colour": "red"})).await.expect(422);
    for role in [Role::Viewer, Role::Agent] {
        let asked = house.call((mine, role), Method::POST, REPLAY, Some(json!({})));
        asked.await.expect(403);
    }
}
