//! Room `identity`: `scim2-tester` of `PyPI` judges a served program over HTTP. `cargo xtask test`
//! puts it into `target/`.

use std::path::PathBuf;

use serde_json::Value;

use super::Directory;
use crate::house::House;

const ASK: &str = r#"
import json, sys
from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
base, key = sys.argv[1:]
headers = {"Authorization": "Bearer " + key}
client = Client(base_url=base, headers=headers, timeout=60)
results = check_server(SyncSCIMClient(client), raise_exceptions=False)
print(json.dumps([
    {"title": r.title, "status": r.status.name, "reason": r.reason, "type": r.resource_type}
    for r in results
]))
"#;

/// Python with the tester in it.
fn python() -> PathBuf {
    misy_testkit::judges().join("bin/python")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tester_of_the_field_finds_no_fault() {
    let house = House::build().await;
    let directory = Directory::connect(&house, "acme").await;
    let base = format!("{}/scim/v2", house.serve().await);
    let mut asked = tokio::process::Command::new(python());
    let asked = asked.args(["-c", ASK, &base, &directory.key]).output();
    let output = asked.await.expect("python starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let results: Vec<Value> = serde_json::from_slice(&output.stdout).expect("results");
    let of = |status: &str| -> Vec<&Value> {
        results.iter().filter(|one| one["status"] == status).collect()
    };
    let bad: Vec<_> = results
        .iter()
        .filter(|one| one["status"] != "SUCCESS" && one["status"] != "SKIPPED")
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(of("SUCCESS").len() >= 100, "{} checks are too few", of("SUCCESS").len());
    // The search over all types at once is optional and not done.
    let skipped = of("SKIPPED");
    let search = |one: &&Value| one["reason"].as_str().is_some_and(|it| it.contains("/.search"));
    assert!(skipped.iter().all(search), "{skipped:#?}");
}
