//! Room `server`: files that are made from the program and read by people. A change of one is a
//! change of the contract, seen in review.

use std::path::PathBuf;
use std::sync::Arc;

use misy_server::app::App;
use misy_server::commands::Installation;
use misy_server::config::Config;
use misy_testkit::{TestDatabase, wall_ambient};

/// Holds a file against what it should be, or writes it when `MISYBOT_GOLDEN` is `write`.
pub(crate) fn compare(path: &str, wanted: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let write = std::env::var("MISYBOT_GOLDEN").is_ok_and(|mode| mode == "write");
    if write {
        std::fs::write(&file, wanted).expect("written");
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{path} is not what the program gives; run `cargo xtask golden`");
}

async fn app() -> (TestDatabase, Arc<App>) {
    let database = TestDatabase::create().await;
    let ambient = wall_ambient(7);
    let installation = Installation {
        config: Config::default(),
        ambient: ambient.clone(),
        root: misy_core::crypto::Key::new([7; 32]),
        admin: database.superuser().clone(),
        db: database.db(ambient),
    };
    let app = App::build(installation, "http://localhost").await.expect("built");
    (database, Arc::new(app))
}

#[tokio::test]
async fn golden_openapi_is_what_the_program_serves() {
    let (_database, app) = app().await;
    let document = misy_web::openapi::document(&app.routes());
    compare("docs/openapi.json", &format!("{document:#}\n"));
}

#[test]
fn golden_errors_are_what_the_program_answers() {
    compare("docs/errors.md", &misy_web::errors_markdown());
}

#[tokio::test]
async fn golden_jobs_are_those_that_workers_know() {
    let (_database, app) = app().await;
    let names = app.job_names().join("\n");
    compare("crates/server/tests/it/jobs.txt", &format!("{names}\n"));
}

#[tokio::test]
async fn every_operation_says_who_may_call_it_or_that_anybody_may() {
    let (_database, app) = app().await;
    let document = misy_web::openapi::document(&app.routes());
    let mut open = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an object") {
            let public = operation["security"].as_array().is_some_and(|all| {
                all.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty))
            });
            if public {
                open.push(format!("{method} {path}"));
            }
        }
    }
    open.sort();
    assert_eq!(
        open,
        [
            "get /.well-known/authzen-configuration",
            "get /.well-known/jwks.json",
            "get /hooks/sources/{source}",
            "get /hooks/{hook}",
            "get /v1/auth/oidc/{connection}/callback",
            "get /v1/auth/oidc/{connection}/start",
            "get /v1/auth/saml/{connection}/metadata",
            "get /v1/auth/saml/{connection}/slo",
            "get /v1/auth/saml/{connection}/start",
            "get /widget/{site_id}/frame",
            "get /widget/{site_id}/messages",
            "post /hooks/sources/{source}",
            "post /hooks/{hook}",
            "post /v1/auth/discover",
            "post /v1/auth/invitation",
            "post /v1/auth/login",
            "post /v1/auth/mfa/challenge",
            "post /v1/auth/oidc/{connection}/backchannel-logout",
            "post /v1/auth/recovery",
            "post /v1/auth/recovery/complete",
            "post /v1/auth/refresh",
            "post /v1/auth/revoke",
            "post /v1/auth/saml/{connection}/acs",
            "post /v1/auth/saml/{connection}/slo",
            "post /v1/auth/sso/exchange",
            "post /v1/auth/token",
            "post /v1/auth/verification/complete",
            "post /v1/signup",
            "post /v1/signup/verify",
            "post /widget/{site_id}/messages",
            "post /widget/{site_id}/read",
            "post /widget/{site_id}/sessions",
        ]
    );
}

/// Every source below a folder.
fn sources(folder: &std::path::Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            all.push(std::fs::read_to_string(&path).expect("text"));
        }
    }
}

/// Two types of one name would be one schema in the reference, the last one's.
#[test]
fn no_two_types_of_the_reference_have_one_name() {
    let mut all = Vec::new();
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    for room in std::fs::read_dir(crates).expect("crates") {
        let folder = room.expect("a room").path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut all);
        }
    }
    let described = regex::Regex::new(
        r"(?x) derive\([^)]*ToSchema[^)]*\)\] ((?:\s*(?:\#\[[^\n]*\]|///[^\n]*))*)
            \s*pub(?:\(\w+\))?\ (?:struct|enum)\ (\w+)",
    )
    .expect("a pattern");
    let renamed = regex::Regex::new(r"schema\(as = (\w+)").expect("a pattern");
    let mut names = std::collections::BTreeSet::new();
    for text in &all {
        for found in described.captures_iter(text) {
            let other = renamed.captures(&found[1]).map(|other| other[1].to_owned());
            let name = other.unwrap_or_else(|| found[2].to_owned());
            assert!(names.insert(name.clone()), "`{name}` twice: give one `#[schema(as = ..)]`");
        }
    }
    assert!(names.len() > 60, "{}", names.len());
}
