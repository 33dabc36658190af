//! Room `store`: the embedded PostgreSQL in directories that are closed, deep, moved, copied, half
//! made or gone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres, Error};

use super::helper::Helper;
use super::{
    closed_dir, config, home_of, is_root, keep_a_row, kept_rows, open_dir, sql, start, stop,
    try_sql, until, user_of,
};

#[tokio::test]
async fn a_directory_that_only_root_can_enter_stays_closed_and_works() {
    let dir = closed_dir();
    let first = start(dir.path()).await;
    keep_a_row(&first).await;
    stop(first).await;
    assert_eq!(fs::metadata(dir.path()).expect("it is there").mode() & 0o777, 0o700);
    assert_eq!(home_of(dir.path()).starts_with(dir.path()), !is_root());
    let second = start(dir.path()).await;
    assert_eq!(kept_rows(&second).await, 1);
    stop(second).await;
}

#[tokio::test]
async fn a_path_longer_than_a_socket_takes_works() {
    let dir = open_dir();
    let data = dir.path().join("d".repeat(120));
    let first = start(&data).await;
    keep_a_row(&first).await;
    let socket_dir = first.endpoint().socket_dir.clone();
    assert!(!socket_dir.starts_with(&data));
    assert_eq!(fs::metadata(&socket_dir).expect("it is there").mode() & 0o777, 0o700);
    stop(first).await;
    assert!(!socket_dir.exists(), "nothing stays behind outside the data directory");
    let second = start(&data).await;
    assert_eq!(kept_rows(&second).await, 1);
    stop(second).await;
}

#[tokio::test]
async fn a_moved_directory_keeps_its_database_and_a_copied_one_has_none() {
    let parent = closed_dir();
    let (old, new, copy) =
        (parent.path().join("old"), parent.path().join("new"), parent.path().join("copy"));
    // A disposable one whose directory is not where it was is swept by whoever starts meanwhile.
    let lasting = |data: &Path| EmbeddedConfig { disposable: false, ..config(data) };
    let first = EmbeddedPostgres::start(lasting(&old)).await.expect("it starts");
    keep_a_row(&first).await;
    stop(first).await;
    fs::rename(&old, &new).expect("our own directory");
    let moved = EmbeddedPostgres::start(lasting(&new)).await.expect("it starts");
    assert_eq!(kept_rows(&moved).await, 1);
    stop(moved).await;
    if !is_root() {
        return;
    }
    fs::create_dir(&copy).expect("our own directory");
    fs::copy(new.join("postgres.location"), copy.join("postgres.location")).expect("a copy");
    let refused = EmbeddedPostgres::start(config(&copy)).await.expect_err("one of two only");
    assert!(matches!(refused, Error::Copied { .. }), "{refused}");
    fs::remove_dir_all(home_of(&new)).expect("nobody else sweeps it");
}

#[tokio::test]
async fn a_database_that_is_gone_is_never_replaced_by_an_empty_one_in_silence() {
    let dir = open_dir();
    fs::write(dir.path().join("postgres.location"), "/nowhere/at/all").expect("our own directory");
    let refused = EmbeddedPostgres::start(config(dir.path())).await.expect_err("it is gone");
    assert!(refused.to_string().contains("/nowhere/at/all"), "{refused}");
}

#[tokio::test]
async fn the_draft_of_an_interrupted_initdb_is_thrown_away() {
    let dir = open_dir();
    let first = start(dir.path()).await;
    keep_a_row(&first).await;
    stop(first).await;
    let home = home_of(dir.path());
    fs::rename(home.join("data"), home.join("data.draft")).expect("our own directory");
    fs::remove_file(home.join("data.draft/global/pg_control")).expect("it is there");
    let second = start(dir.path()).await;
    assert!(try_sql(&second, "select 1 from kept").await.is_err(), "it was made anew");
    assert!(!home.join("data.draft").exists());
    stop(second).await;
}

#[tokio::test]
async fn an_incomplete_database_is_set_aside_and_not_deleted() {
    let dir = open_dir();
    stop(start(dir.path()).await).await;
    let home = home_of(dir.path());
    fs::remove_file(home.join("data/global/pg_control")).expect("it is there");
    stop(start(dir.path()).await).await;
    let names = fs::read_dir(&home).expect("it is there").flatten().map(|entry| entry.file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("data.incomplete-"));
    assert_eq!(aside.count(), 1);
}

#[tokio::test]
async fn an_abandoned_disposable_database_is_swept_by_the_next_start() {
    if !is_root() {
        return;
    }
    let (abandoned, other) = (closed_dir(), open_dir());
    stop(start(abandoned.path()).await).await;
    let home = home_of(abandoned.path());
    assert!(home.join("data/PG_VERSION").exists());
    drop(abandoned);
    let server = start(other.path()).await;
    until("the sweep", || !home.exists()).await;
    stop(server).await;
}

#[tokio::test]
async fn the_database_of_a_running_server_is_not_swept() {
    if !is_root() {
        return;
    }
    let (abandoned, other) = (closed_dir(), open_dir());
    let running = start(abandoned.path()).await;
    let home = home_of(abandoned.path());
    fs::remove_dir_all(abandoned.path()).expect("our own directory");
    for _ in 0..2 {
        stop(start(other.path()).await).await;
    }
    assert!(home.join("data/PG_VERSION").exists());
    sql(&running, "select 1").await;
    stop(running).await;
}

#[tokio::test]
async fn an_unprivileged_user_runs_the_server_as_itself() {
    const NOBODY: u32 = 65_534;
    if !is_root() {
        return;
    }
    let (dir, programs) = (open_dir(), open_dir());
    let program = programs.path().join("helper");
    fs::copy(std::env::current_exe().expect("this binary"), &program).expect("a copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our own file");
    give_to(dir.path(), NOBODY);
    let helper = Helper::start(&program, dir.path(), Some(NOBODY));
    assert_eq!(user_of(helper.pid), NOBODY);
    helper.stop();

    let as_root = start(dir.path()).await;
    assert_eq!(user_of(as_root.pid().expect("it is ready")), NOBODY, "root respects the owner");
    assert_eq!(kept_rows(&as_root).await, 1);
    stop(as_root).await;
}

fn give_to(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).expect("we are root");
}
