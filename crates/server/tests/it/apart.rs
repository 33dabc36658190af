//! Room `server`: API and workers as processes of their own, on a database of the operator's.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use http::{Method, StatusCode};
use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::postgres::unpredictable;
use serde_json::{Value, json};

use crate::program::{Program, Shop, call, folder, probe, until};

/// The program on that database; the sandbox is a provider on this machine, so its address may be
/// used.
fn command(folder: &Path, postgres: &EmbeddedPostgres, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_misybot"));
    command.arg(verb).arg("--data").arg(folder.join("data"));
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("MISYBOT__DATABASE__URL", postgres.url("postgres").expose());
    command.env("MISYBOT__CONVERSATION__PRIVATE_HOSTS_ALLOWED", "true");
    command.env("MISYBOT__EGRESS__PRIVATE_HOSTS_ALLOWED", "true");
    command.stdin(Stdio::null());
    command
}

fn migrate(folder: &Path, postgres: &EmbeddedPostgres) -> String {
    let output = command(folder, postgres, "migrate").output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Starts a part and waits for the line that tells where it is found.
fn start(folder: &Path, postgres: &EmbeddedPostgres, verb: &str, label: &str) -> Program {
    let log = std::fs::File::create(folder.join(format!("{verb}.log"))).expect("a log");
    let mut child = command(folder, postgres, verb)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let told = lines.next().expect("a line").expect("UTF-8");
    let (name, address) = told.split_once(": ").expect("a name and an address");
    assert_eq!(name, label);
    let operator = std::fs::read_to_string(folder.join("data/operator.json")).expect("made");
    let operator: Value = serde_json::from_str(&operator).expect("JSON");
    Program::of(child, json!({ label: address, "operator": operator }))
}

/// One figure of a process, all its labels together.
async fn figure(worker: &Program, name: &str) -> f64 {
    let host = worker.host("metrics");
    let host = host.trim_end_matches("/metrics");
    let mut connection = misy_bench::http::Connection::open(host).await.expect("connected");
    let answer = connection.call(Method::GET, "/metrics", &[], "".into()).await.expect("figures");
    let text = String::from_utf8(answer.1.to_vec()).expect("UTF-8");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_and_the_workers_are_processes_of_their_own() {
    let folder = folder();
    let mut config = EmbeddedConfig::new(folder.path().join("postgres"), unpredictable());
    config.disposable = true;
    let postgres = EmbeddedPostgres::start(config).await.expect("a server");
    let first = migrate(folder.path(), &postgres);
    assert!(first.contains("operator operator@misybot.localhost; the password is in"), "{first}");
    let second = migrate(folder.path(), &postgres);
    assert!(second.starts_with("0 applied"), "{second}");

    let sandbox = Program::start(folder.path(), &["sandbox", "--listen", "127.0.0.1:0"]).await;
    let host = sandbox.host("sandbox");
    let api = start(folder.path(), &postgres, "serve", "api");
    let shop = Shop::open(&api, &host, "acme").await;
    let said = json!({ "from": "+4915112345678", "text": "what are your opening hours?" });
    call(&host, Method::POST, &shop.path("messages"), None, json!({ "messages": [said] })).await;
    let stored = async || {
        let path = "/v1/conversations";
        let bearer = format!("Bearer {}", shop.bearer);
        let headers = [("authorization", bearer.as_str())];
        probe(&api.host("api"), Method::GET, path, &headers, "").await
    };
    let (status, listed) = stored().await;
    assert_eq!((status, &listed["data"]), (StatusCode::OK, &json!([])), "nobody works yet");

    let worker = start(folder.path(), &postgres, "work", "metrics");
    until("answered", 60, async || {
        let stats = call(&host, Method::GET, &shop.path("stats"), None, Value::Null).await;
        if stats["outbound"] == 1 { Ok(()) } else { Err(stats.to_string()) }
    })
    .await;
    assert!(figure(&worker, "misy_jobs_total").await >= 3.0, "it took in, answered and sent");
    let (_, listed) = stored().await;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    worker.stop();
    api.stop();
    sandbox.stop();
    postgres.stop().await.expect("stopped");
}
