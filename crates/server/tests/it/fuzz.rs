//! Room `server`: the whole API judged by `schemathesis`, which reads the reference and asks
//! whatever it allows, and whatever it does not.

use std::path::Path;

use tokio::process::Command;

use crate::program::{Program, Shop, folder};

/// What no answer may be: a failure of ours, a status, a content or a header that the reference
/// does not declare; nor may a method that is not there be answered like one that is, or somebody
/// be let in whom the reference does not.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,ignored_auth,unsupported_method,\
    allow_header_conformance";

/// A guesser asks more than a customer would.
fn settings() -> String {
    let much = "{ requests = 9000000, window_s = 60 }";
    let twofold = ["read", "write", "sign_in"]
        .map(|class| format!("{class} = {{ each = {much}, tenant = {much} }}\n"));
    format!("[web.rates]\nbad_credentials = {much}\n{}", twofold.concat())
}

/// Runs it for a bounded time, the same questions each time; gives its report if it found anything.
async fn judge(program: &Program, folder: &Path, bearer: Option<&str>) -> Result<(), String> {
    let checks = CHECKS.replace(' ', "");
    let reference = format!("http://{}/openapi.json", program.host("api"));
    let mut command = Command::new(misy_testkit::judges().join("bin/schemathesis"));
    command.current_dir(folder).args(["run", &reference, "--checks", &checks]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--no-color"]);
    command.arg("--generation-deterministic");
    command.args(["--suppress-health-check", "all", "--warnings", "off", "--max-time", "90"]);
    command.args(["--continue-on-failure", "--no-shrink", "--request-timeout", "60"]);
    if let Some(bearer) = bearer {
        command.args(["--header", &format!("Authorization: Bearer {bearer}")]);
    }
    let done = command.output().await.expect("schemathesis starts");
    let report = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() { Ok(()) } else { Err(report) }
}

async fn up(folder: &Path) -> Program {
    let (data, settings) = (folder.join("data"), folder.join("misybot.toml"));
    std::fs::write(&settings, self::settings()).expect("written");
    let (data, settings) = (data.to_str().expect("UTF-8"), settings.to_str().expect("UTF-8"));
    let place = ["up", "--data", data, "--config", settings, "--listen", "127.0.0.1:0"];
    Program::start(folder, &place).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_reference_allows_or_not_gets_an_answer_it_does_not_declare() {
    let folder = folder();
    let program = up(folder.path()).await;
    let shop = Shop::open(&program, &program.host("sandbox"), "acme").await;
    let found = judge(&program, folder.path(), Some(&shop.bearer)).await;
    assert!(found.is_ok(), "{}", found.unwrap_err());
    program.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_only_what_is_declared_public_answers() {
    let folder = folder();
    let program = up(folder.path()).await;
    let found = judge(&program, folder.path(), None).await;
    assert!(found.is_ok(), "{}", found.unwrap_err());
    program.stop();
}
