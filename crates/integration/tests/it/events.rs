//! Room `integration`: events: what is published reaches exactly those who want it.

use http::Method;
use misy_core::Role;
use misy_core::event::{ContactData, EventType, Told};
use serde_json::{Value, json};

use crate::house::{House, ctx, text};
use crate::sink::Sink;

#[tokio::test]
async fn an_event_reaches_the_endpoint_as_it_was_published() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let id = house.publish(tenant, "order.created", json!({"total": 12.5, "ü": "\"<>"})).await;
    assert_eq!(house.carry().await, 1);
    let heard = sink.heard();
    assert_eq!(heard.len(), 1);
    let wanted = json!({
        "type": "order.created", "timestamp": "2026-03-01T12:00:00Z",
        "data": {"total": 12.5, "ü": "\"<>"},
    });
    assert_eq!(heard[0].json(), wanted);
    assert_eq!(heard[0].header("webhook-id"), id);
    assert_eq!(heard[0].header("content-type"), "application/json");
    let deliveries = house.deliveries(tenant).await;
    assert_eq!(
        (&deliveries[0]["status"], &deliveries[0]["attempts"]),
        (&json!("succeeded"), &json!(1))
    );
    assert_eq!(house.count("select count(*) from parcels").await, 0);
    assert_eq!(
        house.get(tenant, &format!("/v1/events/{id}")).await.expect(200)["type"],
        "order.created"
    );
}

fn condition(field: &str, operator: &str, value: Value) -> Value {
    json!([{"field": field, "operator": operator, "value": value}])
}

#[tokio::test]
async fn each_endpoint_gets_what_it_wants_and_a_simulation_says_the_same() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let wishes = [
        json!({}),
        json!({"event_types": ["order.created"]}),
        json!({"event_types": ["order.*"]}),
        json!({"event_types": ["orders.*", "order.paid"]}),
        json!({"channels": ["cha_01k8zq5m3ge0r8v0w1x2y3z4a5"]}),
        json!({"conditions": condition("/data/total", "greater", json!(10))}),
        json!({"conditions": condition("/data/total", "less", json!(10))}),
        json!({"conditions": condition("/data/tags", "equals", json!("vip"))}),
        json!({"conditions": condition("/data/total", "not_equals", json!("x"))}),
        json!({"conditions": condition("/data/none", "not_equals", json!(1))}),
        json!({"conditions": condition("/data/name", "one_of", json!(["a", "Bo \"b\" $.x"]))}),
        json!({"conditions": condition("/data/name", "begins_with", json!("Bo \""))}),
        json!({"conditions": [{"field": "/data/none", "operator": "absent"}]}),
        json!({"conditions": [{"field": "/data/name", "operator": "exists"},
            {"field": "/data/total", "operator": "equals", "value": 11}]}),
    ];
    let mut ids = Vec::new();
    for wish in wishes {
        ids.push(text(&house.endpoint(tenant, &sink, wish).await["id"]));
    }
    let data = json!({"total": 12.5, "tags": ["new", "vip"], "name": "Bo \"b\" $.x"});
    let event = json!({"type": "order.created", "data": data});
    let simulated = house.post(tenant, "/v1/events/simulate", event).await.expect(200);
    let expected: Vec<String> = simulated["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|one| one["delivered"] == true)
        .map(|one| text(&one["endpoint_id"]))
        .collect();
    house.publish(tenant, "order.created", data).await;
    let mut got: Vec<String> =
        house.deliveries(tenant).await.iter().map(|one| text(&one["endpoint_id"])).collect();
    got.sort();
    let wanted: Vec<String> =
        [0, 1, 2, 5, 7, 8, 9, 10, 11, 12].map(|at: usize| ids[at].clone()).into();
    assert_eq!(got, wanted, "what the outbox did");
    assert_eq!(expected, wanted, "what the simulation said");
}

#[tokio::test]
async fn of_an_event_that_nobody_wants_nothing_is_written() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let (silent, deaf) = (house.tenant(), house.tenant());
    house.endpoint(deaf, &sink, json!({"event_types": ["order.created"]})).await;
    for tenant in [silent, deaf] {
        let mut tx = house.deps.db.tenant(&ctx(tenant)).await.expect("a connection");
        let data = ContactData { contact_id: house.deps.ambient.id(), channel_id: None };
        tx.emit(&Told::new(EventType::ContactCreated, None, data));
        tx.commit().await.expect("committed");
    }
    for table in ["webhook_events", "webhook_deliveries", "parcels"] {
        assert_eq!(house.count(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
}

#[tokio::test]
async fn what_was_rolled_back_is_never_told() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let mut tx = house.deps.db.tenant(&ctx(tenant)).await.expect("a connection");
    let data = ContactData { contact_id: house.deps.ambient.id(), channel_id: None };
    tx.emit(&Told::new(EventType::ContactCreated, None, data));
    drop(tx);
    assert_eq!((house.carry().await, house.deliveries(tenant).await.len()), (0, 0));
}

#[tokio::test]
async fn several_are_published_together_or_not_at_all() {
    let house = House::new().await;
    let tenant = house.tenant();
    let event = |kind: &str| json!({"type": kind, "data": {}});
    let good = json!({"events": [event("order.created"), event("order.paid")]});
    assert_eq!(
        house.post(tenant, "/v1/events", good).await.expect(202)["data"].as_array().map(Vec::len),
        Some(2)
    );
    let bad = json!({"events": [event("order.created"), event("message.received"), event("Nope")]});
    let refused = house.post(tenant, "/v1/events", bad).await.expect(422);
    let pointers: Vec<_> = refused["errors"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|one| text(&one["pointer"]))
        .collect();
    assert_eq!(pointers, ["/events/1/type", "/events/2/type"]);
    let listed = house.get(tenant, "/v1/events").await.expect(200);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    for body in [
        json!({}),
        json!({"type": "a.b"}),
        json!({"type": "a.b", "data": 1, "events": [event("a.b")]}),
    ] {
        house.post(tenant, "/v1/events", body).await.expect(422);
    }
}

#[tokio::test]
async fn every_type_is_described_with_a_schema_and_an_example_that_fits_it() {
    let house = House::new().await;
    let types = house.get(house.tenant(), "/v1/event-types").await.expect(200);
    let types = types["data"].as_array().expect("a list");
    assert_eq!(types.len(), EventType::ALL.len());
    for one in types {
        let schema = &one["schema"];
        let members = schema["properties"].as_object().expect("an object");
        let example = one["example"]["data"].as_object().expect("an object");
        assert!(members.keys().eq(example.keys()), "{one}");
    }
}

#[tokio::test]
async fn publishing_has_a_limit_of_its_own_by_the_thousand_a_second() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let event = json!({"type": "order.created", "data": {}});
    let published = house.post(tenant, "/v1/events", event).await;
    let endpoint = json!({ "url": sink.url() });
    let made = house.post(tenant, "/v1/webhook-endpoints", endpoint).await;
    let policy = |answer: &crate::house::Answer| {
        answer.headers["ratelimit-policy"].to_str().expect("text").to_owned()
    };
    assert!(policy(&published).contains("q=300000;w=60"), "{}", policy(&published));
    assert!(policy(&made).contains("q=1200;w=60"), "{}", policy(&made));
}

#[tokio::test]
async fn a_full_queue_pushes_back() {
    let config = misy_integration::Config {
        private_hosts_allowed: true,
        backlog_max: 2,
        ..Default::default()
    };
    let (house, sink) = (House::with(config).await, Sink::kind().await);
    let tenant = house.tenant();
    house.endpoint(tenant, &sink, json!({})).await;
    let event = |kind: &str| json!({"type": kind, "data": {}});
    let two = json!({"events": [event("order.created"), event("order.paid")]});
    // Another tenant's backlog is not this one's.
    let other = house.tenant();
    house.endpoint(other, &sink, json!({})).await;
    house.post(other, "/v1/events", two.clone()).await.expect(202);
    house.post(tenant, "/v1/events", two.clone()).await.expect(202);
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    let refused = house.post(tenant, "/v1/events", two).await;
    assert_eq!(refused.headers["retry-after"], "10");
    refused.expect(429);
}

#[tokio::test]
async fn only_those_who_may_publish_and_read() {
    let house = House::new().await;
    let (own, other) = (house.tenant(), house.tenant());
    let event = json!({"type": "order.created", "data": {}});
    let as_role = |role, method: Method, path: String, body| {
        let house = &house;
        async move { house.call((own, role), method, &path, body).await }
    };
    as_role(Role::Supervisor, Method::POST, "/v1/events".into(), Some(event.clone()))
        .await
        .expect(403);
    let id = house.publish(own, "order.created", json!({})).await;
    as_role(Role::Agent, Method::GET, "/v1/events".into(), None).await.expect(403);
    as_role(Role::Agent, Method::GET, format!("/v1/events/{id}"), None).await.expect(403);
    as_role(Role::Agent, Method::POST, "/v1/events/simulate".into(), Some(event)).await.expect(403);
    as_role(Role::Supervisor, Method::GET, format!("/v1/events/{id}"), None).await.expect(200);
    let foreign = house.get(other, &format!("/v1/events/{id}")).await.expect(404);
    let absent = house.get(other, "/v1/events/evt_00000000000000000000000007").await.expect(404);
    assert_eq!((&foreign["code"], &foreign["title"]), (&absent["code"], &absent["title"]));
    assert_eq!(house.get(other, "/v1/events").await.expect(200)["data"], json!([]));
}
