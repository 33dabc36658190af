//! Room `server`: killed in the middle, it loses nothing it acknowledged and answers nothing twice.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::program::{Program, Shop, call, folder, free_port, postmaster, read_log, until};

/// What is killed, in turn.
#[derive(Clone, Copy)]
enum Victim {
    Program,
    Postgres,
}

const PHONES: usize = 50;

/// Messages of so many customers while one thing after another is killed.
async fn storm(count: usize, victims: &[Victim]) {
    let folder = folder();
    let sandbox_data = folder.path().join("sandbox");
    let sandbox = Program::start(
        folder.path(),
        &["sandbox", "--listen", "127.0.0.1:0", "--data", sandbox_data.to_str().expect("UTF-8")],
    )
    .await;
    let host = sandbox.host("sandbox");
    let address = format!("127.0.0.1:{}", free_port());
    let mut program = start(folder.path(), &address).await;
    let shop = Shop::open(&program, &host, "acme").await;
    let free = json!({ "mps": 0, "pair_burst": 0, "connections": 8 });
    call(&host, Method::PATCH, &shop.path("behaviour"), None, free).await;

    let batches = victims.len() + 1;
    for (round, victim) in victims.iter().map(Some).chain([None]).enumerate() {
        let texts: Vec<Value> = (round * count / batches..(round + 1) * count / batches)
            .map(|number| {
                let phone = format!("+49151{:07}", number % PHONES);
                json!({ "from": phone, "text": format!("what are your opening hours, {number}?") })
            })
            .collect();
        let said = json!({ "messages": texts });
        call(&host, Method::POST, &shop.path("messages"), None, said).await;
        let Some(victim) = victim else { continue };
        tokio::time::sleep(Duration::from_millis(700)).await;
        match victim {
            Victim::Program => {
                program.kill();
                program = start(folder.path(), &address).await;
            }
            Victim::Postgres => kill_postgres(folder.path()),
        }
    }
    let wanted = count as u64;
    until("every message answered", 240, async || {
        let stats = call(&host, Method::GET, &shop.path("stats"), None, Value::Null).await;
        if stats["outbound"].as_u64() >= Some(wanted) { Ok(()) } else { Err(stats.to_string()) }
    })
    .await;
    compare(&host, &shop, count).await;
    let log = read_log(folder.path());
    assert!(!log.contains("panicked"), "{log}");
    program.stop();
    sandbox.stop();
}

/// SIGKILL for the postmaster of a folder.
pub(crate) fn kill_postgres(folder: &Path) {
    let pid = postmaster(folder).expect("a postmaster").to_string();
    let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.expect("asked").success());
}

pub(crate) async fn start(folder: &Path, address: &str) -> Program {
    let (data, settings) = (folder.join("data"), folder.join("misybot.toml"));
    let (data, settings) = (data.to_str().expect("UTF-8"), settings.to_str().expect("UTF-8"));
    let place = ["up", "--data", data, "--listen", address];
    let rest = ["--admin-listen", "127.0.0.1:0", "--no-sandbox"];
    let own = if Path::new(settings).exists() { vec!["--config", settings] } else { Vec::new() };
    Program::start(folder, &[&place[..], &rest, &own].concat()).await
}

/// Each question has one answer, and each customer's questions were stored in the order they came.
async fn compare(host: &str, shop: &Shop, count: usize) {
    let mut answers: HashMap<String, usize> = HashMap::new();
    let mut after = 0;
    loop {
        let path = shop.path(&format!("outbound?after={after}&limit=500"));
        let page = call(host, Method::GET, &path, None, Value::Null).await;
        let rows = page["data"].as_array().expect("a list").clone();
        for row in &rows {
            let ours = row["biz_opaque_callback_data"].as_str().expect("our id").to_owned();
            *answers.entry(ours).or_default() += 1;
        }
        match page["next"].as_u64() {
            Some(next) if !rows.is_empty() => after = next,
            _ => break,
        }
    }
    let twice: Vec<_> = answers.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "answered twice: {twice:?}");
    assert_eq!(answers.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_answered_twice_when_the_program_is_killed() {
    storm(600, &[Victim::Program, Victim::Program, Victim::Program]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_answered_twice_when_postgresql_is_killed() {
    storm(600, &[Victim::Postgres, Victim::Program, Victim::Postgres]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long; run by hand before a release"]
async fn ten_thousand_messages_survive_a_bad_day() {
    use Victim::{Postgres, Program};
    storm(10_000, &[Program, Postgres, Program, Program, Postgres, Program, Postgres, Program])
        .await;
}
