//! Room `sandbox`: what survives the death of the process.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use misy_sandbox::{Config, Error, Sandbox};
use misy_testkit::ambient_with;
use serde_json::{Value, json};

use crate::harness::{CUSTOMER, Stage, clock, config_in, start, text_message, within};

/// Copies a data directory as it is at this moment, which is what a killed process leaves behind.
fn corpse_of(data: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(copy.path().join("media")).expect("made");
    std::fs::copy(data.join("journal.jsonl"), copy.path().join("journal.jsonl")).expect("copied");
    for file in std::fs::read_dir(data.join("media")).expect("readable") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), copy.path().join("media").join(file.file_name()))
            .expect("copied");
    }
    copy
}

/// A stage on a directory, with a receiver that knows nothing of the one before.
async fn stage_on(data: &Path, seed: u64) -> Stage {
    let clock = clock();
    let running = start(config_in(data), &clock, seed).await;
    Stage::around(running, clock).await
}

#[tokio::test]
async fn everything_that_was_answered_is_there_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = stage_on(data.path(), 1).await;
    stage.connect().await;
    stage.behave(json!({"read": false})).await;
    let question = stage.say_text("what are your opening hours?").await;
    let answer = stage.send_text("9 to 5").await.wamid();
    stage.receiver.until_status(&answer, "delivered").await;
    let file = stage.upload("image/png", b"\x89PNG".to_vec()).await.body["id"].clone();
    stage.settle().await;
    let before = stage.look(&format!("/phones/{CUSTOMER}")).await;

    let corpse = corpse_of(data.path());
    let risen = stage_on(corpse.path(), 2).await;
    assert_eq!(risen.account, stage.look("").await);
    let after = risen.look(&format!("/phones/{CUSTOMER}")).await;
    assert_eq!(before["messages"], after["messages"]);
    assert_eq!(after["messages"][0]["id"], question.as_str());
    let counts = risen.look("/stats").await;
    let of = |key: &str| counts[key].as_u64();
    assert_eq!(
        (of("inbound"), of("outbound"), of("webhooks_pending")),
        (Some(1), Some(1), Some(0))
    );
    assert_eq!(of("webhooks_delivered"), Some(3));
    let path = format!("/media/{}", file.as_str().expect("an id"));
    let path = format!("/sandbox/accounts/{}{path}", risen.number());
    let bytes = risen.request("GET", &path).send().await.expect("an answer").bytes().await;
    assert_eq!(bytes.expect("bytes").as_ref(), b"\x89PNG");
    risen.behave(json!({"read": true})).await;
    stage.receiver.until_status(&answer, "read").await;
}

#[tokio::test]
async fn webhooks_that_nobody_acknowledged_are_delivered_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = stage_on(data.path(), 1).await;
    stage.connect().await;
    stage.receiver.will_answer(&[200, 200, 500]);
    let mut said = Vec::new();
    for n in 0..4 {
        said.push(stage.say_text(&n.to_string()).await);
    }
    // The third is refused once and would be retried; here the process dies.
    stage.receiver.until(|it| it.posts().len() >= 3).await;
    let corpse = corpse_of(data.path());
    let seen_before = stage.receiver.posts().len();
    stage.running.stop().await;

    let clock = clock();
    let running = start(config_in(corpse.path()), &clock, 2).await;
    let missing = |it: &crate::harness::Receiver| {
        let ids = it.posts()[seen_before.min(it.posts().len())..].to_vec();
        let ids: Vec<String> = ids
            .iter()
            .flat_map(|post| post.items("messages"))
            .filter_map(|message| message["id"].as_str().map(str::to_owned))
            .collect();
        said[2..].iter().any(|id| !ids.contains(id))
    };
    stage.receiver.until(|it| !missing(it)).await;
    drop(running);
}

#[tokio::test]
async fn statuses_under_way_go_on_after_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = stage_on(data.path(), 1).await;
    stage.connect().await;
    stage.say_text("hello").await;
    stage.behave(json!({"deliver_delay_ms": 3_600_000})).await;
    let id = stage.send_text("answer").await.wamid();
    stage.receiver.until_status(&id, "sent").await;
    let corpse = corpse_of(data.path());
    stage.running.stop().await;
    let clock = clock();
    let running = start(config_in(corpse.path()), &clock, 2).await;
    stage.receiver.until_status(&id, "read").await;
    drop(running);
}

#[tokio::test]
async fn a_torn_last_line_is_left_out_and_a_damaged_one_is_told() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = stage_on(data.path(), 1).await;
    stage.say_text("kept").await;
    let journal = data.path().join("journal.jsonl");
    stage.running.stop().await;
    let mut text = std::fs::read_to_string(&journal).expect("readable");
    text.push_str("{\"Message\":{\"account\":\"17\",\"mess");
    std::fs::write(&journal, &text).expect("written");
    let risen = stage_on(data.path(), 2).await;
    assert_eq!(risen.look("/stats").await["inbound"], 1);
    risen.say_text("after").await;
    risen.running.stop().await;
    let again = stage_on(data.path(), 3).await;
    assert_eq!(again.look("/stats").await["inbound"], 2);
    again.running.stop().await;

    let text = std::fs::read_to_string(&journal).expect("readable");
    std::fs::write(&journal, format!("{{\"Nonsense\n{text}")).expect("written");
    let refused = Sandbox::start(config_in(data.path()), ambient_with(&clock(), 4)).await;
    assert!(matches!(refused, Err(Error::Corrupt { line: 1, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_start_writes_the_journal_anew_without_what_is_settled() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = stage_on(data.path(), 1).await;
    stage.connect().await;
    for n in 0..50 {
        stage.behave(json!({"duplicates": 1 + n % 2})).await;
        stage.say_text(&n.to_string()).await;
    }
    let before = stage.settle().await;
    stage.running.stop().await;
    let journal = data.path().join("journal.jsonl");
    let lines = || std::fs::read_to_string(&journal).expect("readable").lines().count();
    let grown = lines();
    let risen = stage_on(data.path(), 2).await;
    assert!(lines() < grown / 2, "{} of {grown}", lines());
    let after = risen.look("/stats").await;
    assert_eq!(before["webhooks_delivered"], after["webhooks_delivered"]);
    assert_eq!(before["inbound"], after["inbound"]);
    let view = risen.look(&format!("/phones/{CUSTOMER}")).await;
    assert_eq!(view["messages"].as_array().map(Vec::len), Some(50));
}

#[tokio::test]
async fn two_sandboxes_do_not_share_a_directory() {
    let data = tempfile::tempdir().expect("a directory");
    let stage = stage_on(data.path(), 1).await;
    let second = Sandbox::start(config_in(data.path()), ambient_with(&clock(), 2)).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    stage.running.stop().await;
    stage_on(data.path(), 3).await;
}

#[tokio::test]
async fn an_address_in_use_is_told() {
    let stage = Stage::set().await;
    let config = Config { listen: stage.address(), ..Config::default() };
    let second = Sandbox::start(config, ambient_with(&clock(), 2)).await;
    assert!(matches!(second, Err(Error::Listen { .. })), "{second:?}");
}

/// Not a test of its own: the process that [`a_real_kill_loses_nothing`] kills. It reads the data
/// directory from its input and prints its address.
#[tokio::test]
#[ignore = "started by another test"]
async fn the_process_to_kill() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("readable");
    let Some(data) = Some(line.trim()).filter(|it| !it.is_empty()) else { return };
    let running = start(config_in(Path::new(data)), &clock(), 1).await;
    println!("\nlistening {}", running.address());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_real_kill_loses_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--ignored", "--exact", "--nocapture", "durability::the_process_to_kill"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{}", data.path().display()).expect("written");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = lines
        .find_map(|line| line.expect("readable").strip_prefix("listening ").map(str::to_owned));
    let address = address.expect("an address");

    let http = crate::harness::client();
    let base = format!("http://{address}/sandbox/accounts");
    let accounts: Value =
        http.get(&base).send().await.expect("answers").json().await.expect("JSON");
    let account = accounts["data"][0].clone();
    let number = account["phone_number_id"].as_str().expect("an id");
    let messages: Vec<Value> =
        (0..500).map(|n| json!({"from": CUSTOMER, "text": n.to_string()})).collect();
    let said = http.post(format!("{base}/{number}/messages")).json(&json!({"messages": messages}));
    assert_eq!(within(said.send()).await.expect("an answer").status(), 200);
    let mut accepted = Vec::new();
    for n in 0..20 {
        let url = format!("http://{address}/v25.0/{number}/messages");
        let token = account["access_token"].as_str().expect("a token");
        let body = text_message(CUSTOMER, &n.to_string());
        let response =
            http.post(url).bearer_auth(token).json(&body).send().await.expect("an answer");
        let answer: Value = response.json().await.expect("JSON");
        accepted.push(answer["messages"][0]["id"].clone());
    }
    child.kill().expect("killed");
    child.wait().expect("ended");

    let risen = stage_on(data.path(), 2).await;
    let outbound = risen.look("/outbound").await;
    let ids: Vec<Value> =
        outbound["data"].as_array().expect("a list").iter().map(|it| it["id"].clone()).collect();
    assert_eq!(ids, accepted);
    assert_eq!(risen.look("/stats").await["inbound"], 500);
}
