//! Room `server`: webhooks of the whole program: what happens is told, signed; what was accepted
//! arrives, whatever is killed; receivers that mean no good cost nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use misy_bench::http::Connection;
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::TestRedis;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::crash::{kill_postgres, start};
use crate::program::{Program, Shop, call, command, folder, free_port, read_log, until};

const BATCH: usize = 50;
const PUBLISHERS: usize = 4;

/// An endpoint of the shop that a sink of the sandbox is behind.
async fn endpoint(api: &str, sandbox: &str, shop: &Shop, sink: &str, more: Value) {
    let mut body = json!({ "url": format!("http://{sandbox}/sink/{sink}") });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let bearer = Some(shop.bearer.as_str());
    let made = call(api, Method::POST, "/v1/webhook-endpoints", bearer, body).await;
    let secrets = json!({ "secrets": [made["secret"]] });
    call(sandbox, Method::PATCH, &format!("/sandbox/sinks/{sink}"), None, secrets).await;
}

async fn behave(sandbox: &str, sink: &str, behaviour: Value) {
    call(sandbox, Method::PATCH, &format!("/sandbox/sinks/{sink}"), None, behaviour).await;
}

async fn look(sandbox: &str, sink: &str, what: &str) -> Value {
    call(sandbox, Method::GET, &format!("/sandbox/sinks/{sink}{what}"), None, Value::Null).await
}

/// Publishes so many events, under one key, until they are accepted; gives the ids.
async fn publish(api: &str, bearer: &str, number: usize, count: usize) -> Vec<String> {
    let event = |at: usize| json!({ "type": "storm.happened", "data": { "n": number + at } });
    let body = json!({ "events": (0..count).map(event).collect::<Vec<_>>() }).to_string();
    let (key, bearer) = (format!("storm-{number}"), format!("Bearer {bearer}"));
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &bearer),
        ("idempotency-key", &key),
    ];
    loop {
        if let Ok(mut connection) = Connection::open(api).await {
            let asked = connection.call(Method::POST, "/v1/events", &headers, body.clone().into());
            let answer = tokio::time::timeout(Duration::from_secs(20), asked).await;
            if let Ok(Ok((StatusCode::ACCEPTED, bytes))) = answer {
                let body: Value = serde_json::from_slice(&bytes).expect("JSON");
                let ids = body["data"].as_array().expect("a list").iter();
                return ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is killed at once; any of them together.
const PROGRAM: u8 = 1;
const POSTGRES: u8 = 2;
const REDIS: u8 = 4;

/// So many events, accepted and delivered while one thing after another is killed, and things
/// together.
async fn storm(count: usize, kills: &[u8]) {
    let folder = folder();
    let mut redis = TestRedis::start().await;
    let settings = format!("[cache]\nurl = \"{}\"\n", redis.url().expose());
    std::fs::write(folder.path().join("misybot.toml"), settings).expect("written");
    let sandbox = Program::start(folder.path(), &["sandbox", "--listen", "127.0.0.1:0"]).await;
    let host = sandbox.host("sandbox");
    let address = format!("127.0.0.1:{}", free_port());
    let program = start(folder.path(), &address).await;
    let shop = Shop::open(&program, &host, "acme").await;
    let mut program = Some(program);
    let schedule = json!({ "settings": { "retry_schedule_s": vec![1; 20] } });
    endpoint(&address, &host, &shop, "storm", schedule).await;
    behave(&host, "storm", json!({ "delay_ms": 5, "refuse_unsigned": true })).await;

    let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (next, done) = (Arc::clone(&next), Arc::clone(&done));
        let (api, bearer) = (address.clone(), shop.bearer.clone());
        publishers.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let number = next.fetch_add(BATCH, Ordering::SeqCst);
                if number >= count {
                    return ids;
                }
                ids.extend(publish(&api, &bearer, number, BATCH).await);
                done.fetch_add(BATCH, Ordering::SeqCst);
            }
        });
    }
    for (round, kill) in kills.iter().enumerate() {
        // The first falls early, the last when everything is accepted and much is under way.
        let wanted = (round + 1) * count / kills.len();
        until("events accepted", 600, async || {
            let done = done.load(Ordering::SeqCst);
            if done >= wanted { Ok(()) } else { Err(format!("{done} of {wanted}")) }
        })
        .await;
        if kill & REDIS != 0 {
            redis.kill();
        }
        if kill & POSTGRES != 0 {
            kill_postgres(folder.path());
        }
        if kill & PROGRAM != 0 {
            program.take().expect("it runs").kill();
        }
        if kill & REDIS != 0 {
            redis.run().await.expect("Redis runs");
        }
        if program.is_none() {
            program = Some(start(folder.path(), &address).await);
        }
    }
    let accepted: BTreeSet<String> = publishers.join_all().await.into_iter().flatten().collect();
    assert_eq!(accepted.len(), count, "each batch was accepted once");
    until("everything delivered", 600, async || {
        let delivered = look(&host, "storm", "").await["ids"].as_u64().unwrap_or_default();
        let wanted = accepted.len() as u64;
        if delivered >= wanted { Ok(()) } else { Err(format!("{delivered} of {wanted}")) }
    })
    .await;
    let ids = look(&host, "storm", "/ids").await;
    let delivered: BTreeSet<String> =
        ids["data"].as_object().expect("ids").keys().cloned().collect();
    assert!(delivered == accepted, "what was accepted is what was delivered");
    let letters =
        call(&address, Method::GET, "/v1/dead-letters", Some(&shop.bearer), Value::Null).await;
    assert_eq!(letters["data"], json!([]));
    assert!(!read_log(folder.path()).contains("panicked"), "{}", read_log(folder.path()));
    program.expect("it runs").stop();
    sandbox.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_accepted_event_arrives_though_program_database_and_cache_are_killed() {
    let all: Vec<u8> = (1..=PROGRAM | POSTGRES | REDIS).collect();
    storm(5_600, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long; run by hand before a release"]
async fn a_hundred_thousand_deliveries_survive_fifty_kills() {
    let kills: Vec<u8> = (0..50).map(|at| at % 7 + 1).collect();
    storm(100_000, &kills).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_to_those_who_want_it_and_is_signed() {
    let folder = folder();
    let program = Program::up(folder.path()).await;
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let shop = Shop::open(&program, &sandbox, "acme").await;
    let other = Shop::open(&program, &sandbox, "other").await;
    let v1a = json!({ "settings": { "signature": "v1a" } });
    endpoint(&api, &sandbox, &shop, "all", v1a).await;
    endpoint(&api, &sandbox, &shop, "some", json!({ "event_types": ["message.received"] })).await;
    endpoint(&api, &sandbox, &other, "other", json!({})).await;
    endpoint(&api, &sandbox, &shop, "gone", json!({ "event_types": ["order.*"] })).await;
    behave(&sandbox, "gone", json!({ "status": 410 })).await;

    let text = "what are your opening hours?";
    let said = json!({ "from": "+4915112345678", "name": "Ada", "text": text });
    call(&sandbox, Method::POST, &shop.path("messages"), None, said).await;
    let order = json!({ "type": "order.created", "data": { "total": 7 } });
    call(&api, Method::POST, "/v1/events", Some(&shop.bearer), order).await;
    let wanted = [
        "contact.created",
        "conversation.created",
        "message.received",
        "message.sent",
        "message.delivered",
        "message.read",
        "order.created",
        "webhook_endpoint.disabled",
    ];
    until("every happening told", 60, async || {
        let told = told(&look(&sandbox, "all", "/requests").await);
        let missing: Vec<_> = wanted.iter().filter(|kind| !told.contains_key(**kind)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
    let requests = look(&sandbox, "all", "/requests").await;
    for request in requests["data"].as_array().expect("a list") {
        assert_eq!(request["signature"], "genuine", "{request}");
    }
    let told_all = told(&requests);
    assert_eq!(told_all["message.received"]["data"]["content"]["text"], text);
    assert_eq!(told_all["webhook_endpoint.disabled"]["data"]["reason"], "gone");
    let some = told(&look(&sandbox, "some", "/requests").await);
    assert_eq!(some.keys().collect::<Vec<_>>(), ["message.received"]);
    assert_eq!(look(&sandbox, "other", "").await["received"], 0, "another tenant hears nothing");
    program.stop();
}

/// The last payload of each type.
fn told(requests: &Value) -> BTreeMap<String, Value> {
    let requests = requests["data"].as_array().expect("a list").iter();
    let payloads = requests.map(|one| {
        let body: Value = serde_json::from_str(one["body"].as_str().expect("text")).expect("JSON");
        (body["type"].as_str().expect("a type").to_owned(), body)
    });
    payloads.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_mean_no_good_cost_neither_memory_nor_others_their_turn() {
    let folder = folder();
    let settings = folder.path().join("misybot.toml");
    std::fs::write(&settings, "[webhooks]\ndeadline_ms = 4000\n").expect("written");
    let (data, settings) =
        (folder.path().join("data"), settings.to_str().expect("UTF-8").to_owned());
    let data = data.to_str().expect("UTF-8");
    let place = ["up", "--data", data, "--config", &settings, "--listen", "127.0.0.1:0"];
    let program = Program::start(folder.path(), &[&place[..], &["--no-sandbox"]].concat()).await;
    let sandbox = Program::start(folder.path(), &["sandbox", "--listen", "127.0.0.1:0"]).await;
    let (api, host) = (program.host("api"), sandbox.host("sandbox"));
    let shop = Shop::open(&program, &host, "acme").await;
    let hostile = ["endless_body", "slow_body", "many_headers", "silence", "hang_up"];
    for how in hostile {
        let once = json!({ "in_flight": 10, "settings": { "retry_schedule_s": [] } });
        endpoint(&api, &host, &shop, how, once).await;
        behave(&host, how, json!({ "hostile": how })).await;
    }
    let patient = json!({ "settings": { "retry_schedule_s": vec![1; 20] } });
    endpoint(&api, &host, &shop, "good", patient).await;
    publish(&api, &shop.bearer, 0, 10).await;
    let settled = async |wanted: u64| {
        until("every delivery settled", 240, async || {
            let path = "/v1/webhook-deliveries?status=pending&limit=1";
            let pending = call(&api, Method::GET, path, Some(&shop.bearer), Value::Null).await;
            let good = look(&host, "good", "").await["ids"].as_u64();
            let all = pending["data"] == json!([]) && good == Some(wanted);
            if all { Ok(()) } else { Err(format!("{good:?} {pending}")) }
        })
        .await;
    };
    settled(10).await;
    let before = program.resident_mib();
    publish(&api, &shop.bearer, 10, 30).await;
    settled(40).await;
    let more = program.resident_mib() - before;
    // 30 bodies of 512 MiB were begun, 15 GiB, ten at a time.
    assert!(more < 24.0, "{more} MiB more");
    assert!(!read_log(folder.path()).contains("panicked"));
    program.stop();
    sandbox.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_was_given_up_and_has_it_replayed() {
    let folder = folder();
    std::fs::write(folder.path().join("misybot.toml"), "").expect("written");
    let ambient = misy_testkit::postgres::unpredictable();
    let embedded = EmbeddedConfig::new(folder.path().join("postgres"), ambient);
    let postgres = EmbeddedPostgres::start(embedded).await.expect("a database");
    let url = postgres.url("postgres").expose().to_owned();
    let program = Program::up_on(folder.path(), &url).await;
    let (api, sandbox) = (program.host("api"), program.host("sandbox"));
    let shop = Shop::open(&program, &sandbox, "acme").await;
    let fragile = json!({ "settings": { "retry_schedule_s": [] } });
    endpoint(&api, &sandbox, &shop, "fragile", fragile).await;
    behave(&sandbox, "fragile", json!({ "status": 500 })).await;
    publish(&api, &shop.bearer, 0, 3).await;
    let asked = |arguments: &[&str]| -> Value {
        let all = [&["webhook", "--json"][..], arguments].concat();
        let printed = command(folder.path(), &url, &all);
        let text = String::from_utf8(printed).expect("UTF-8");
        let line = text.lines().find(|line| line.starts_with("{\"data\""));
        serde_json::from_str(line.expect("an answer")).expect("JSON")
    };
    until("three dead letters", 60, async || {
        let letters = asked(&["dead-letters", "acme"]);
        let count = letters["data"].as_array().expect("a list").len();
        if count == 3 { Ok(()) } else { Err(letters.to_string()) }
    })
    .await;
    let listed = asked(&["endpoints", "acme"]);
    assert_eq!(listed["data"][0]["status"], "enabled");
    assert!(listed["data"][0]["failing_since"].is_string(), "{listed}");
    let source = json!({ "name": "Shop", "settings": { "preset": "github" }, "secret": "s" });
    let bearer = Some(shop.bearer.as_str());
    call(&api, Method::POST, "/v1/sources", bearer, source).await;
    assert_eq!(asked(&["sources", "acme"])["data"][0]["preset"], "github");
    behave(&sandbox, "fragile", json!({ "status": 200 })).await;
    let begun = asked(&["replay", "acme", "--dead"]);
    assert_eq!(begun["data"][0]["status"], "running");
    until("all three delivered", 60, async || {
        let letters = asked(&["dead-letters", "acme"]);
        if letters["data"] == json!([]) { Ok(()) } else { Err(letters.to_string()) }
    })
    .await;
    let path = format!("/v1/webhook-replays/{}", begun["data"][0]["id"].as_str().expect("an id"));
    let done = call(&api, Method::GET, &path, bearer, Value::Null).await;
    assert_eq!((&done["status"], &done["progress"]["replayed"]), (&json!("succeeded"), &json!(3)));
    program.stop();
    postgres.stop().await.expect("stopped");
}
