//! Room `conversation`: what was stored becomes what happened, whatever it is and in whatever order
//! it comes.

use std::path::PathBuf;

use axum::http::StatusCode;
use misy_channel::Channel;
use misy_channel::event::Kind;
use misy_conversation::Config;
use misy_core::id::TypedId;
use misy_testkit::postgres::query;
use serde_json::{Value, json};

use crate::channels::{Provider, open_house};
use crate::house::{House, Shop};
use crate::numbers::{change, messages, text, webhook};

const NUMBER: &str = "106540352242922";
/// The clock of a house when it is built.
const NOON: i64 = 1_772_366_400;

/// A house that takes in few payloads at a time.
async fn patient_house() -> House {
    House::with(Config { ingest_batch: 7, ..Config::default() }).await
}

async fn texts(house: &House, shop: &Shop) -> Vec<String> {
    let inbound = house.messages(shop).await.into_iter();
    let inbound = inbound.filter(|message| message["direction"] == "inbound");
    inbound.map(|message| message["content"]["text"].as_str().unwrap_or("").to_owned()).collect()
}

/// Every file of the corpora; none, with a word, where they are absent.
fn corpora() -> Vec<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let root = option_env!("MISYBOT_CORPORA").unwrap_or(beside);
    let (mut folders, mut files) = (vec![PathBuf::from(root).join("channels")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_folder = entry.path().is_dir();
            if is_folder { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        eprintln!("SKIPPED: no corpora at {root} (set MISYBOT_CORPORA to their folder)");
    }
    files
}

/// The WhatsApp payloads of a file: the whole of it, or each of the cases in it.
fn payloads(file: &PathBuf) -> Vec<Value> {
    let bytes = std::fs::read(file).expect("readable");
    let Ok(whole) = serde_json::from_slice::<Value>(&bytes) else { return Vec::new() };
    let cases = whole.as_object().into_iter().flat_map(|cases| cases.values().cloned());
    let all = std::iter::once(whole.clone()).chain(cases);
    all.filter(|one| one["object"] == "whatsapp_business_account" && one["entry"].is_array())
        .collect()
}

/// The same payload for another number and business account.
fn rewrite(payload: &mut Value, number: &str, business: &str) {
    for entry in payload["entry"].as_array_mut().into_iter().flatten() {
        entry["id"] = json!(business);
        for change in entry["changes"].as_array_mut().into_iter().flatten() {
            if let Some(metadata) = change["value"].get_mut("metadata") {
                metadata["phone_number_id"] = json!(number);
            }
        }
    }
}

/// A payload of the corpora, delivered to a tenant of its own.
struct Case {
    file: PathBuf,
    shop: Shop,
    payload: Value,
}

async fn deliver_corpora(house: &House) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in corpora() {
        for mut payload in payloads(&file) {
            let (number, business) = (format!("10{}", cases.len()), format!("20{}", cases.len()));
            rewrite(&mut payload, &number, &business);
            let shop = house.number_with(&number, json!({ "waba_id": business })).await;
            house.meta(&shop, payload.to_string().as_bytes()).await.expect(200);
            cases.push(Case { file: file.clone(), shop, payload });
        }
    }
    cases
}

/// How many rows the events of a payload make; those of the same message make one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    events: i64,
    inbound: usize,
    unknown: usize,
    early_statuses: usize,
}

fn wanted(whatsapp: &dyn Channel, payload: &Value) -> Rows {
    let events = whatsapp.receive(payload.to_string().as_bytes()).expect("a payload");
    let mut rows = Rows { events: i64::try_from(events.len()).expect("few"), ..Rows::default() };
    let (mut seen, mut told) = (Vec::new(), Vec::new());
    for event in events {
        match event.kind {
            Kind::Message(one) => seen.push(one.external_id),
            Kind::Status(one) => told.push((one.external_id, one.status)),
            Kind::Edit { .. } | Kind::Revoke { .. } | Kind::Unknown { .. } => rows.unknown += 1,
            Kind::Echo(_) | Kind::IdentityChanged { .. } => {}
        }
    }
    seen.sort();
    seen.dedup();
    rows.inbound = seen.len();
    told.sort();
    told.dedup();
    rows.early_statuses = told.len();
    rows
}

async fn found(house: &House, shop: &Shop) -> Rows {
    let sum = "select coalesce(sum(events), 0)::int8 from inbox where state = 'done'";
    Rows {
        events: house.rows(shop, sum).await[0].get(0),
        inbound: house.count(shop, "messages where direction = 'inbound'").await,
        unknown: house.count(shop, "channel_events").await,
        early_statuses: house.count(shop, "early_statuses").await,
    }
}

#[tokio::test]
async fn every_payload_of_the_corpora_is_taken_in_and_no_event_is_dropped() {
    let house = House::new().await;
    let cases = deliver_corpora(&house).await;
    house.run().await;
    let registry = misy_adapters::registry();
    let whatsapp = registry.find("whatsapp").expect("it is built in");
    let mut events = 0;
    for Case { file, shop, payload } in &cases {
        let unfinished = house.count(shop, "inbox where state <> 'done' or attempts > 0").await;
        assert_eq!(unfinished, 0, "{}", file.display());
        let rows = found(&house, shop).await;
        assert_eq!(rows, wanted(whatsapp.as_ref(), payload), "{}", file.display());
        events += rows.events;
    }
    eprintln!("{} payloads, {events} events", cases.len());
    assert!(cases.is_empty() || cases.len() >= 100, "only {} payloads", cases.len());
}

#[tokio::test]
async fn a_conversation_keeps_the_order_in_which_its_payloads_came() {
    let house = patient_house().await;
    let shop = house.number(NUMBER).await;
    for n in 0..20_i64 {
        let said = |part| text(&format!("wamid.{n}.{part}"), "4911", NOON, &format!("{n}.{part}"));
        let body = messages(NUMBER, &[said(0), said(1)]).to_string();
        house.meta(&shop, body.as_bytes()).await.expect(200);
    }
    house.run().await;
    let expected: Vec<_> = (0..20).flat_map(|n| [format!("{n}.0"), format!("{n}.1")]).collect();
    assert_eq!(texts(&house, &shop).await, expected);
}

#[tokio::test]
async fn messages_that_come_again_in_other_payloads_and_orders_are_there_once() {
    let house = patient_house().await;
    let shop = house.number(NUMBER).await;
    let said: Vec<_> =
        (0..9).map(|n| text(&format!("wamid.{n}"), "4911", NOON + n, &n.to_string())).collect();
    let mut webhooks: Vec<Value> =
        said.iter().map(|one| messages(NUMBER, std::slice::from_ref(one))).collect();
    webhooks
        .extend([messages(NUMBER, &said), messages(NUMBER, &[said[3].clone(), said[3].clone()])]);
    for webhook in webhooks.iter().rev().chain(&webhooks) {
        house.meta(&shop, webhook.to_string().as_bytes()).await.expect(200);
    }
    house.run().await;
    webhooks[0]["entry"][0]["time"] = json!(1);
    house.meta_says(&shop, &webhooks[0]).await;
    let mut heard = texts(&house, &shop).await;
    heard.sort();
    assert_eq!(heard, (0..9).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(house.payloads(&shop, "done").await, 12);
}

fn edit(id: &str, of: &str, words: &str) -> Value {
    let message = json!({ "type": "text", "text": { "body": words } });
    json!({ "id": id, "from": "4911", "timestamp": (NOON + 9).to_string(), "type": "edit",
        "edit": { "original_message_id": of, "message": message } })
}

fn revoke(id: &str, of: &str) -> Value {
    json!({ "id": id, "from": "4911", "timestamp": (NOON + 10).to_string(), "type": "revoke",
        "revoke": { "original_message_id": of } })
}

#[tokio::test]
async fn an_edit_or_revocation_that_comes_before_its_message_holds_when_it_comes() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let early = [edit("wamid.e", "wamid.1", "nine"), revoke("wamid.r", "wamid.2")];
    house.meta_says(&shop, &messages(NUMBER, &early)).await;
    assert_eq!(house.count(&shop, "channel_events").await, 2);
    let said = [text("wamid.1", "4911", NOON, "ten"), text("wamid.2", "4911", NOON, "secret")];
    house.meta_says(&shop, &messages(NUMBER, &said)).await;
    let all = house.messages(&shop).await;
    assert_eq!(all[0]["content"]["text"], "nine");
    assert_eq!(all[1]["content"]["type"], "event");
    assert!(!json!(all).to_string().contains("secret"));
    assert_eq!(house.count(&shop, "channel_events").await, 0);
}

#[tokio::test]
async fn what_was_written_before_the_connection_is_stored_and_not_answered() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let past = |id: &str, at: i64| {
        let mut said = text(id, "4915112345678", at, "What are your opening hours?");
        said["history_context"] = json!({ "status": "READ" });
        said
    };
    let thread = json!({ "id": "4915112345678", "messages": [past("wamid.1", NOON - 60)] });
    let history = json!([{ "metadata": { "phase": 0 }, "threads": [thread] }]);
    let mut change = change(NUMBER, json!({ "history": history }));
    change["field"] = json!("history");
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    house.meta_says(&shop, &webhook(&[change])).await;
    assert_eq!(texts(&house, &shop).await, ["What are your opening hours?"]);
    assert_eq!(house.count(&shop, "messages where direction = 'outbound'").await, 0);
    assert_eq!(house.count(&shop, "conversations where last_inbound_at is not null").await, 0);
    let id = house.conversation(&shop).await["id"].as_str().expect("an id").to_owned();
    let reply = json!({ "content": { "type": "text", "text": "Hello" } });
    let refused = house.post(&shop, &format!("/v1/conversations/{id}/messages"), reply).await;
    assert_eq!(refused.expect(422)["code"], "conversation.window_closed");
}

#[tokio::test]
async fn no_payload_holds_up_those_behind_it() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let mut odd = vec![
        text("wamid.nul\0", "4911", NOON, "a\0b"),
        text("wamid.old", "4911", -377_705_116_800, "old"),
        text("wamid.far", "4911", 253_402_207_200, "far"),
        text("wamid.ms", "4911", 253_402_207_200_000, "ms"),
        text("wamid.no", "4911", i64::MIN, "no"),
        text(&"x".repeat(20_000), "4911", NOON, "long id"),
        text("wamid.who", "\0", NOON, "nobody"),
        text("wamid.long", "4911", NOON, &"\u{1f600}".repeat(100_000)),
    ];
    let mut named = text("wamid.reply", "4911", NOON, "reply");
    named["context"] = json!({ "id": "\0", "from": "\0" });
    odd.extend([named, json!({ "type": "\0", "\0": "\0" }), json!(null), json!({})]);
    for one in &odd {
        let body = messages(NUMBER, std::slice::from_ref(one)).to_string();
        house.meta(&shop, body.as_bytes()).await.expect(200);
    }
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4922", NOON, "behind")])).await;
    let behind = "messages where content ->> 'text' = 'behind'";
    assert_eq!(house.count(&shop, behind).await, 1);
    let waiting = house.rows(&shop, "select error from inbox where state <> 'done'").await;
    let errors: Vec<Option<String>> = waiting.iter().map(|row| row.get(0)).collect();
    assert_eq!(errors, [], "all were odd, none was poison");
}

#[tokio::test]
async fn a_time_in_the_far_future_does_not_keep_the_window_open() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let far = text("wamid.1", "4911", 253_402_207_200, "far");
    house.meta_says(&shop, &messages(NUMBER, &[far])).await;
    let late = "conversations where last_inbound_at > '2026-03-03'";
    assert_eq!(house.count(&shop, late).await, 0);
    assert_eq!(house.count(&shop, "messages where content ->> 'text' = 'far'").await, 1);
}

#[tokio::test]
async fn a_payload_that_cannot_be_taken_in_is_set_aside_and_the_others_go_on() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    house
        .meta(
            &shop,
            messages(NUMBER, &[text("wamid.1", "4911", NOON, "one")]).to_string().as_bytes(),
        )
        .await
        .expect(200);
    // As if a newer program had stored what this one cannot read.
    let mut tx = house.tx(&shop).await;
    let (tenant, id) = (tx.tenant(), house.deps.ambient.uuid());
    let broken = "insert into inbox (tenant_id, channel_id, id, digest, body)
        select $1, channel_id, $2, '\\x00', '{' from inbox where tenant_id = $1";
    tx.execute(broken, &[&tenant, &id]).await.expect("stored");
    tx.commit().await.expect("committed");
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.2", "4911", NOON, "two")])).await;
    assert_eq!(texts(&house, &shop).await, ["one", "two"]);
    assert_eq!(
        (house.payloads(&shop, "done").await, house.payloads(&shop, "failed").await),
        (2, 1)
    );
}

/// A message of this text cannot be stored, as if by a fault of the program.
async fn refuse(house: &House, word: &str) {
    let sql = format!(
        "alter table messages add constraint refused check (content ->> 'text' <> '{word}')"
    );
    query(house.database.superuser(), &sql).await.expect("added");
}

#[tokio::test]
async fn a_payload_that_the_database_refuses_is_tried_again_and_holds_up_no_other() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    refuse(&house, "poison").await;
    for (id, words) in [("wamid.1", "one"), ("wamid.2", "poison"), ("wamid.3", "three")] {
        let body = messages(NUMBER, &[text(id, "4911", NOON, words)]).to_string();
        house.meta(&shop, body.as_bytes()).await.expect(200);
    }
    house.run().await;
    assert_eq!(texts(&house, &shop).await, ["one", "three"]);
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.4", "4911", NOON, "four")])).await;
    assert_eq!(texts(&house, &shop).await, ["one", "three", "four"]);
    let waits = "inbox where state = 'pending' and attempts = 1 and due_at is not null";
    assert_eq!(house.count(&shop, waits).await, 1);
    let mend = "alter table messages drop constraint refused";
    query(house.database.superuser(), mend).await.expect("dropped");
    house.later(3_600);
    house.run().await;
    assert_eq!(house.count(&shop, "messages where content ->> 'text' = 'poison'").await, 1);
    let taken_in = "inbox where state in ('done', 'archived')";
    assert_eq!(house.count(&shop, taken_in).await, 4);
}

#[tokio::test]
async fn a_payload_that_is_refused_for_good_is_set_aside_whole() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    refuse(&house, "poison").await;
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4911", NOON, "poison")])).await;
    for _ in 0..6 {
        house.later(3_600);
        house.run().await;
    }
    let kept = "inbox where state = 'failed' and attempts = 5 and error <> '' and body <> ''";
    assert_eq!(house.count(&shop, kept).await, 1);
    assert_eq!(house.payloads(&shop, "pending").await, 0);
}

#[tokio::test]
async fn what_came_before_a_disconnection_is_taken_in_after_it() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    let body = messages(NUMBER, &[text("wamid.1", "4911", NOON, "Hello")]).to_string();
    house.meta(&shop, body.as_bytes()).await.expect(200);
    let path = format!("/v1/channels/{}", shop.channel);
    house.delete(&shop, &path).await.expect(204);
    house.run().await;
    assert_eq!(texts(&house, &shop).await, ["Hello"]);
    assert_eq!(house.payloads(&shop, "pending").await, 0);
}

#[tokio::test]
async fn payloads_of_a_suspended_tenant_wait_until_it_is_active() {
    let house = House::new().await;
    let (shop, other) = (house.number(NUMBER).await, house.number("2").await);
    house.tenants.suspended.lock().expect("no panic inside").insert(shop.tenant);
    house.meta_says(&shop, &messages(NUMBER, &[text("wamid.1", "4911", NOON, "Hello")])).await;
    house.meta_says(&other, &messages("2", &[text("wamid.1", "4911", NOON, "Hello")])).await;
    assert_eq!(
        (house.payloads(&shop, "pending").await, house.payloads(&other, "done").await),
        (1, 1)
    );
    house.later(600);
    house.run().await;
    assert_eq!(house.count(&shop, "messages").await, 0);
    house.tenants.suspended.lock().expect("no panic inside").clear();
    house.later(60);
    house.run().await;
    assert_eq!(texts(&house, &shop).await, ["Hello"]);
    assert_eq!(house.payloads(&shop, "done").await, 1);
}

#[tokio::test]
async fn a_status_may_come_before_the_answer_to_the_sending() {
    let house = open_house().await;
    let accepted = json!({ "messages": [{ "id": "wamid.out" }] });
    let provider = Provider::new(StatusCode::OK, accepted).await;
    let shop = house.number_with(NUMBER, json!({ "api_host": provider.host })).await;
    house.teach(&shop, "en", "What are your opening hours?", "9 to 17.").await;
    let delivered = json!({ "id": "wamid.out", "status": "delivered",
        "timestamp": NOON.to_string(), "recipient_id": "4911" });
    let report = webhook(&[change(NUMBER, json!({ "statuses": [delivered] }))]);
    house.meta_says(&shop, &report).await;
    assert_eq!(house.count(&shop, "early_statuses").await, 1);
    let question = text("wamid.1", "4911", NOON, "What are your opening hours?");
    house.meta_says(&shop, &messages(NUMBER, &[question])).await;
    let answer = house.outbound(&shop).await;
    assert_eq!(
        (&answer["external_id"], &answer["status"]),
        (&json!("wamid.out"), &json!("delivered"))
    );
    assert_eq!(house.count(&shop, "early_statuses").await, 0);
}

#[tokio::test]
async fn what_nobody_knows_is_kept_whole_under_a_name() {
    let house = House::new().await;
    let shop = house.number_with(NUMBER, json!({ "waba_id": "102290129340398" })).await;
    let news =
        json!({ "field": "moon_phase_update", "value": { "phase": "full", "n": [1, "\0"] } });
    let odd = json!({ "id": "wamid.1", "from": "4911", "timestamp": "1", "type": "hologram" });
    let said = change(NUMBER, json!({ "messages": [odd] }));
    house.meta_says(&shop, &webhook(&[news, said])).await;
    let rows = house.rows(&shop, "select name, raw from channel_events order by name").await;
    let kept: Vec<(String, Value)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().any(|name| name.starts_with("moon_phase_update")), "{kept:?}");
    let news = kept.iter().find(|(name, _)| name.starts_with("moon")).expect("found above");
    assert!(news.1.to_string().contains("full"), "{news:?}");
    assert_eq!(house.payloads(&shop, "done").await, 2, "one for the number, one for the business");
}

#[tokio::test]
async fn payloads_that_a_crash_kept_from_being_told_of_are_found() {
    let house = House::new().await;
    let (shop, other) = (house.number(NUMBER).await, house.number("2").await);
    house.meta_says(&other, &messages("2", &[text("wamid.1", "4911", NOON, "Hello")])).await;
    let body = messages(NUMBER, &[text("wamid.1", "4911", NOON, "Hello")]).to_string();
    house.meta(&shop, body.as_bytes()).await.expect(200);
    // As if the process had ended between the commit of the payload and that of its job.
    let lost = format!("delete from jobs where tenant_id = '{}'", shop.tenant.uuid());
    query(house.database.superuser(), &lost).await.expect("removed");
    house.run().await;
    house.run_on_schedule().await;
    assert_eq!(house.payloads(&shop, "pending").await, 1, "it may be on its way still");
    house.later(20);
    house.run_on_schedule().await;
    assert_eq!(house.payloads(&shop, "pending").await, 0);
    assert_eq!(texts(&house, &shop).await, ["Hello"]);
    assert_eq!(house.count(&other, "messages where direction = 'inbound'").await, 1);
}

#[tokio::test]
async fn many_deliveries_need_one_job() {
    let house = House::new().await;
    let shop = house.number(NUMBER).await;
    for n in 0..20 {
        let id = format!("wamid.{n}");
        let body = messages(NUMBER, &[text(&id, "4911", NOON, "Hello")]).to_string();
        house.meta(&shop, body.as_bytes()).await.expect(200);
    }
    let waiting = "select from jobs where name = 'conversation.inbox.ingest'";
    let waiting = query(house.database.superuser(), waiting).await.expect("the queue");
    assert_eq!(waiting.len(), 1);
    house.run().await;
    assert_eq!(house.count(&shop, "messages where direction = 'inbound'").await, 20);
}
