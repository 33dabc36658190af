//! Room `store`: what the embedded PostgreSQL refuses, and that the refusal says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres, Error};

use super::{config, home_of, keep_a_row, kept_rows, open_dir, start, stop};

async fn refusal(config: EmbeddedConfig) -> Error {
    EmbeddedPostgres::start(config).await.expect_err("it is refused")
}

/// A directory with programs that only claim to be a server.
fn pretend(dir: &Path, version: &str) {
    for name in ["postgres", "initdb"] {
        let path = dir.join(name);
        let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
        fs::write(&path, script).expect("our own directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    }
}

#[tokio::test]
async fn a_second_start_on_the_same_data_is_refused_and_harms_nothing() {
    let dir = open_dir();
    let first = start(dir.path()).await;
    keep_a_row(&first).await;
    let refused = refusal(config(dir.path())).await;
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("another MisyBot process"), "{refused}");
    assert_eq!(kept_rows(&first).await, 1);
    stop(first).await;
}

#[tokio::test]
async fn without_a_server_the_error_says_how_to_get_one() {
    let (dir, empty) = (open_dir(), open_dir());
    let bin_dir = Some(empty.path().to_owned());
    let refused = refusal(EmbeddedConfig { bin_dir, ..config(dir.path()) }).await;
    assert!(matches!(refused, Error::NotInstalled { .. }), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("apt-get install postgresql") && text.contains("cargo xtask up"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_without_the_last_fixes_to_row_level_security_is_refused() {
    let (dir, old) = (open_dir(), open_dir());
    pretend(old.path(), "15.13");
    let bin_dir = Some(old.path().to_owned());
    let refused = refusal(EmbeddedConfig { bin_dir, ..config(dir.path()) }).await;
    assert!(matches!(refused, Error::TooOld { .. }), "{refused}");
    assert!(refused.to_string().contains("15.14"), "{refused}");
}

#[tokio::test]
async fn data_of_another_major_version_are_not_touched() {
    let (dir, newer) = (open_dir(), open_dir());
    let first = start(dir.path()).await;
    keep_a_row(&first).await;
    stop(first).await;
    pretend(newer.path(), "99.1");
    let bin_dir = Some(newer.path().to_owned());
    let refused = refusal(EmbeddedConfig { bin_dir, ..config(dir.path()) }).await;
    assert!(matches!(refused, Error::MajorMissing { .. }), "{refused}");
    let second = start(dir.path()).await;
    assert_eq!(kept_rows(&second).await, 1);
    stop(second).await;
}

#[tokio::test]
async fn a_setting_that_the_server_does_not_take_is_shown_with_the_servers_own_words() {
    let dir = open_dir();
    let mut wrong = config(dir.path());
    wrong.settings.insert("shared_buffers".to_owned(), "plenty".to_owned());
    let refused = refusal(wrong).await;
    assert!(refused.to_string().contains("shared_buffers"), "{refused}");
    stop(start(dir.path()).await).await;
}

#[tokio::test]
async fn a_lost_password_is_named_and_the_data_stay() {
    let dir = open_dir();
    let first = start(dir.path()).await;
    keep_a_row(&first).await;
    stop(first).await;
    let secret = dir.path().join("postgres.secret");
    let kept = fs::read(&secret).expect("it is there");
    fs::remove_file(&secret).expect("it is there");
    let refused = refusal(config(dir.path())).await;
    assert!(matches!(refused, Error::SignIn { .. }), "{refused}");
    fs::write(&secret, kept).expect("our own directory");
    let second = start(dir.path()).await;
    assert_eq!(kept_rows(&second).await, 1);
    assert!(home_of(dir.path()).exists());
    stop(second).await;
}
