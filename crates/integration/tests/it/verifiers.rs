//! Room `integration`: our deliveries as official libraries of receivers see them. They are put
//! into `target/` by `cargo xtask test`; a test that does not find them fails and says so.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::house::{House, text};
use crate::sink::Sink;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Runs a receiver of the guide on deliveries; gives what it says of each.
async fn judged(program: PathBuf, script: &str, deliveries: &Value) -> Vec<String> {
    let mut command = Command::new(&program);
    if program.ends_with("go") {
        // It is built first, into a place of its own that is kept.
        command.args(["run"]).env("GOCACHE", folder("target/webhook-verifiers/go"));
        command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod");
    }
    command.arg(folder("docs/webhooks").join(script));
    command.env("NODE_PATH", folder("target/webhook-verifiers/node_modules"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let advice = format!("{} is not there: run `cargo xtask test`", program.display());
    let mut child = command.spawn().expect(&advice);
    let mut input = child.stdin.take().expect("piped");
    input.write_all(deliveries.to_string().as_bytes()).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    let said = String::from_utf8(output.stdout).expect("text");
    said.lines().map(str::to_owned).collect()
}

/// Deliveries of every form, then the same with something wrong, and what is to be said of each.
async fn samples(house: &House) -> (Value, Vec<&'static str>) {
    let (tenant, sink) = (house.tenant(), Sink::kind().await);
    let made = house.endpoint(tenant, &sink, json!({"settings": {"signature": "v1a"}})).await;
    let old = text(&made["secret"]);
    let path = format!("/v1/webhook-endpoints/{}/secret/rotate", text(&made["id"]));
    let data = json!({"n": 1, "text": "Grüße, 你好 \u{1f44b}"});
    house.publish(tenant, "order.created", data).await;
    house.carry().await;
    let rotated = house.post(tenant, &path, json!({})).await.expect(200);
    house.publish(tenant, "order.paid", json!({"n": 2})).await;
    house.carry().await;
    let heard = sink.heard();
    let sample = |at: usize, secret: &str, key: &Value| {
        let one = &heard[at];
        let body = String::from_utf8(one.body.clone()).expect("UTF-8");
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers = headers.map(|name| (name.to_owned(), Value::String(one.header(name))));
        let headers: serde_json::Map<_, _> = headers.into_iter().collect();
        json!({"secret": secret, "public_key": key, "headers": headers, "body": body})
    };
    let new = text(&rotated["secret"]);
    let first = sample(0, &old, &made["public_key"]);
    let mut tampered = first.clone();
    tampered["body"] = json!(text(&first["body"]).replace("\"n\":1", "\"n\":7"));
    let mut replayed = first.clone();
    replayed["headers"]["webhook-timestamp"] = json!("1614265330");
    let mut other_id = first.clone();
    other_id["headers"]["webhook-id"] = json!("evt_other");
    let all = json!([
        first,
        sample(1, &old, &made["public_key"]),
        sample(1, &new, &rotated["public_key"]),
        sample(0, &new, &rotated["public_key"]),
        tampered,
        replayed,
        other_id,
    ]);
    (all, vec!["genuine", "genuine", "genuine", "refused", "refused", "refused", "refused"])
}

/// The libraries compare with the clock of the machine.
async fn house() -> House {
    let house = House::new().await;
    let now = misy_testkit::wall_ambient(1).now().as_second();
    house.later(now - house.deps.ambient.now().as_second());
    house
}

async fn assert_judged(program: PathBuf, scripts: &[&str]) {
    let house = house().await;
    let (deliveries, wanted) = samples(&house).await;
    for script in scripts {
        assert_eq!(judged(program.clone(), script, &deliveries).await, wanted, "{script}");
    }
}

#[tokio::test]
async fn libraries_of_javascript_take_what_is_genuine_and_refuse_the_rest() {
    let scripts =
        ["verify-standardwebhooks.cjs", "verify-svix.cjs", "verify-v1a.cjs", "verify.cjs"];
    assert_judged(PathBuf::from("node"), &scripts).await;
}

#[tokio::test]
async fn libraries_of_python_take_what_is_genuine_and_refuse_the_rest() {
    let scripts = ["verify_standardwebhooks.py", "verify_svix.py", "verify_v1a.py", "verify.py"];
    assert_judged(folder("target/webhook-verifiers/venv/bin/python"), &scripts).await;
}

#[tokio::test]
async fn the_guides_of_go_php_and_ruby_take_what_is_genuine_and_refuse_the_rest() {
    for (program, script) in [("go", "verify.go"), ("php", "verify.php"), ("ruby", "verify.rb")] {
        assert_judged(PathBuf::from(program), &[script]).await;
    }
}
