//! Room `integration`: names that change their addresses. What counts is the address of the very
//! connection, however often and however quickly the answer changes.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use misy_egress::guard::Looking;
use misy_integration::Config;
use misy_testkit::TestDatabase;
use serde_json::{Value, json};

use crate::house::{House, text};
use crate::sink::{Manner, Sink};

/// Says one answer after another, the last for ever, and how often it was asked.
#[derive(Clone)]
struct Fickle {
    answers: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Fickle {
    fn new(answers: &[&[&str]]) -> Self {
        let read = |all: &&[&str]| all.iter().map(|one| one.parse().expect("an address")).collect();
        let answers = answers.iter().map(read).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }

    fn look_up(&self) -> Looking {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().expect("no panic");
        let now = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move { Ok(now.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()) })
    }

    async fn house(&self, private: bool) -> House {
        let config =
            Config { private_hosts_allowed: private, deadline_ms: 2_000, ..Config::default() };
        let reach = misy_egress::Config {
            private_hosts_allowed: private,
            connect_timeout_ms: 500,
            ..misy_egress::Config::default()
        };
        let names = self.clone();
        let names = Arc::new(move |_: String| names.look_up());
        House::reaching(TestDatabase::create().await, config, reach, names)
    }
}

async fn endpoint(house: &House, url: String, more: Value) -> misy_core::TenantId {
    let tenant = house.tenant();
    let mut body = json!({ "url": url, "settings": { "retry_schedule_s": [1, 1] } });
    for (name, value) in more.as_object().into_iter().flatten() {
        body["settings"][name] = value.clone();
    }
    house.post(tenant, "/v1/webhook-endpoints", body).await.expect(201);
    tenant
}

/// Sends an event now; says why it failed, if it did.
async fn send(house: &House, tenant: misy_core::TenantId) -> Value {
    house.publish(tenant, "order.created", json!({})).await;
    house.carry().await;
    house.deliveries(tenant).await[0]["last_error"].clone()
}

const REFUSED: &str = "the target is not allowed: the name leads to private, loopback or special \
    addresses only";

#[tokio::test]
async fn a_name_that_was_good_and_turns_inward_is_not_followed() {
    // Where private hosts are allowed, loopback is good and the metadata service never is.
    let names = Fickle::new(&[&["127.0.0.1"], &["169.254.169.254"], &["::ffff:169.254.169.254"]]);
    let house = names.house(true).await;
    // Each answer ends its connection, so that each delivery asks for the address again.
    let sink = Sink::new(Manner::Text(200, "connection: close\r\n", "ok".to_owned())).await;
    let tenant = endpoint(&house, sink.named("shop.example"), json!({})).await;
    assert_eq!(send(&house, tenant).await, Value::Null);
    for _ in 0..2 {
        assert_eq!(send(&house, tenant).await, REFUSED);
    }
    assert_eq!((sink.heard().len(), names.asked.load(Ordering::SeqCst)), (1, 3));
}

#[tokio::test]
async fn of_an_answer_with_good_and_bad_addresses_only_the_good_are_used() {
    let names = Fickle::new(&[&["169.254.169.254", "0.0.0.0", "64:ff9b::7f00:1", "127.0.0.1"]]);
    let house = names.house(true).await;
    let sink = Sink::kind().await;
    let tenant = endpoint(&house, sink.named("shop.example"), json!({})).await;
    assert_eq!(send(&house, tenant).await, Value::Null);
    let id = text(&house.deliveries(tenant).await[0]["id"]);
    let whole = house.get(tenant, &format!("/v1/webhook-deliveries/{id}")).await.expect(200);
    assert_eq!(whole["attempt_log"][0]["address"], format!("127.0.0.1:{}", sink.port()));
}

#[tokio::test]
async fn every_inner_address_behind_a_name_is_refused_without_a_connection() {
    let inner = [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "::1",
        "::",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001::1",
        "ff02::1",
    ];
    let answers: Vec<&[&str]> = inner.iter().map(std::slice::from_ref).collect();
    let names = Fickle::new(&answers);
    let (house, sink) = (names.house(false).await, Sink::kind().await);
    let url = format!("https://shop.example:{}/", sink.port());
    let tenant = endpoint(&house, url, json!({})).await;
    for address in inner {
        assert_eq!(send(&house, tenant).await, REFUSED, "{address}");
    }
    assert_eq!((sink.connections(), names.asked.load(Ordering::SeqCst)), (0, inner.len()));
}

#[tokio::test]
async fn a_name_that_leaves_the_allowed_networks_is_not_followed() {
    let names = Fickle::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let house = names.house(true).await;
    let sink = Sink::new(Manner::Text(200, "connection: close\r\n", "ok".to_owned())).await;
    let only = json!({ "allowed_networks": ["127.0.0.1"] });
    let tenant = endpoint(&house, sink.named("shop.example"), only).await;
    assert_eq!(send(&house, tenant).await, Value::Null);
    assert_eq!(send(&house, tenant).await, REFUSED);
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn a_token_server_is_looked_at_as_closely_as_a_receiver() {
    let names = Fickle::new(&[&["169.254.169.254"]]);
    let house = names.house(true).await;
    let (sink, tenant) = (Sink::kind().await, house.tenant());
    let oauth = |url: &str| json!({ "token_url": url, "client_id": "misy" });
    let of = |url: &str| {
        let settings = json!({ "oauth": oauth(url) });
        json!({ "url": sink.url(), "settings": settings, "oauth_client_secret": "s" })
    };
    let literal = of("http://169.254.169.254/token");
    let refused = house.post(tenant, "/v1/webhook-endpoints", literal).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/settings/oauth/token_url");
    let named = of("http://login.example/token");
    house.post(tenant, "/v1/webhook-endpoints", named).await.expect(201);
    let why = send(&house, tenant).await;
    assert_eq!(why, format!("no access token: {REFUSED}"));
    assert_eq!(sink.connections(), 0);
}
