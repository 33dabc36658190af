//! Room `integration`: receivers that mean no good: what they may cost, and where nothing goes.

use std::time::{Duration, Instant};

use misy_integration::Config;
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::{Manner, Sink};

fn short(deadline_ms: u64) -> Config {
    Config { private_hosts_allowed: true, deadline_ms, ..Config::default() }
}

/// Delivers one event to a receiver and gives the only try.
async fn tried(house: &House, sink: &Sink) -> Value {
    let tenant = house.tenant();
    house.endpoint(tenant, sink, json!({})).await;
    house.publish(tenant, "order.created", json!({})).await;
    assert_eq!(house.carry().await, 1);
    let id = text(&house.deliveries(tenant).await[0]["id"]);
    let path = format!("/v1/webhook-deliveries/{id}");
    house.get(tenant, &path).await.expect(200)["attempt_log"][0].clone()
}

#[tokio::test]
async fn of_a_body_without_end_only_the_beginning_is_read() {
    let (house, sink) = (House::with(short(15_000)).await, Sink::new(Manner::Flood).await);
    let tried = tried(&house, &sink).await;
    assert_eq!(tried["status"], 200);
    assert_eq!(tried["response_body"].as_str().map(str::len), Some(4 * 1024));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = sink.written();
    assert!(written < 32 << 20, "the connection was closed: {written} of 512 MiB were taken");
}

#[tokio::test]
async fn a_body_that_drips_and_a_receiver_that_is_silent_end_at_the_deadline() {
    for manner in [Manner::Drip, Manner::Silence] {
        let (house, sink) = (House::with(short(400)).await, Sink::new(manner).await);
        let begun = Instant::now();
        let tried = tried(&house, &sink).await;
        assert_eq!(
            (&tried["status"], &tried["error"]),
            (&Value::Null, &json!("the outcome is unknown: no complete answer in time"))
        );
        assert!(begun.elapsed() >= Duration::from_millis(400));
        assert!(tried["elapsed_ms"].as_u64().is_some_and(|ms| ms < 15_000), "{tried}");
    }
}

#[tokio::test]
async fn headers_without_end_are_given_up_early() {
    let (house, sink) = (House::with(short(15_000)).await, Sink::new(Manner::Headers).await);
    let tried = tried(&house, &sink).await;
    assert_eq!(tried["status"], Value::Null);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = sink.written();
    assert!(written < 16 << 20, "the connection was closed: {written} bytes were taken");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_never_followed() {
    let inner = Sink::kind().await;
    let line = format!("location: {}\r\n", inner.url());
    let line: &'static str = Box::leak(line.into_boxed_str());
    let sink = Sink::new(Manner::Status(307, line, Duration::ZERO)).await;
    let house = House::new().await;
    let tried = tried(&house, &sink).await;
    assert_eq!((&tried["status"], &tried["error"]), (&json!(307), &json!("answered 307")));
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn inner_addresses_are_refused_in_every_disguise() {
    let house = House::with(Config::default()).await;
    let tenant = house.tenant();
    for url in [
        "http://shop.example/hook",
        "https://127.0.0.1/hook",
        "https://localhost.:443@10.0.0.1/",
        "https://10.1.2.3/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://[2002:0a00:0001::1]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://user:secret@shop.example/",
        "ftp://shop.example/",
        "https://shop.example/#part",
        "shop.example",
    ] {
        let made = house.post(tenant, "/v1/webhook-endpoints", json!({"url": url})).await;
        assert_eq!(made.status.as_u16(), 422, "{url}: {}", made.body);
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_never_connected() {
    // The name is public when the endpoint is made and leads to loopback when it is used.
    let (house, sink) = (House::with(Config::default()).await, Sink::kind().await);
    let tenant = house.tenant();
    let url = format!("https://localhost:{}/hook", sink.port());
    house.post(tenant, "/v1/webhook-endpoints", json!({ "url": url })).await.expect(201);
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    let delivery = house.deliveries(tenant).await.remove(0);
    assert!(text(&delivery["last_error"]).starts_with("the target is not allowed"), "{delivery}");
    assert_eq!((&delivery["status"], sink.connections()), (&json!("pending"), 0));
}

#[tokio::test]
async fn an_endpoint_with_networks_of_its_own_is_connected_to_nowhere_else() {
    let (house, sink) = (House::new().await, Sink::kind().await);
    let tenant = house.tenant();
    let within = |networks: Value| json!({"settings": {"allowed_networks": networks}});
    house.endpoint(tenant, &sink, within(json!(["192.0.2.0/24"]))).await;
    let name = json!({
        "url": format!("http://localhost:{}/hook", sink.port()),
        "settings": {"allowed_networks": ["192.0.2.0/24"]},
    });
    house.post(tenant, "/v1/webhook-endpoints", name).await.expect(201);
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    assert_eq!(sink.connections(), 0);
    house.endpoint(tenant, &sink, within(json!(["127.0.0.0/8"]))).await;
    house.publish(tenant, "order.paid", json!({})).await;
    house.carry().await;
    assert_eq!(sink.heard().len(), 1);
}

#[tokio::test]
async fn an_answer_with_what_no_database_holds_is_kept_all_the_same() {
    let sink = Sink::new(Manner::Status(200, "x-odd: \u{ff}\r\n", Duration::ZERO)).await;
    let house = House::new().await;
    assert_eq!(tried(&house, &sink).await["response_body"], "ok");
}
