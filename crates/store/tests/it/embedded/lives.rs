//! Room `store`: the embedded PostgreSQL from start to stop, and when it or we are killed.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use misy_store::embedded::EmbeddedPostgres;

use super::helper::Helper;
use super::{
    config, home_of, is_root, keep_a_row, kept_rows, kill, open_dir, setting, sql, start, stop,
    try_sql, until, user_of,
};

#[tokio::test]
async fn data_survive_a_stop_and_a_start() {
    let dir = open_dir();
    let first = start(dir.path()).await;
    let pid = first.pid().expect("it is ready");
    keep_a_row(&first).await;
    stop(first).await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it has ended");

    let second = start(dir.path()).await;
    assert_eq!(kept_rows(&second).await, 1);
    assert_eq!(second.restarts(), 0);
    stop(second).await;
}

#[tokio::test]
async fn a_killed_server_is_started_again_with_every_acknowledged_row() {
    let dir = open_dir();
    let server = start(dir.path()).await;
    keep_a_row(&server).await;
    for round in 1..=2 {
        let old = server.pid().expect("it is ready");
        kill(old);
        until("another server", || server.pid().is_some_and(|pid| pid != old)).await;
        assert_eq!(kept_rows(&server).await, i64::from(round));
        assert_eq!(server.restarts(), round);
        sql(&server, "insert into kept values (8)").await;
    }
    stop(server).await;
}

#[tokio::test]
async fn a_backend_that_is_busy_does_not_keep_a_killed_server_down() {
    let dir = open_dir();
    let server = start(dir.path()).await;
    keep_a_row(&server).await;
    let old = server.pid().expect("it is ready");
    let busy = try_sql(&server, "select sum(a.n) from generate_series(1, 1000000000) as a(n)");
    let murder = async {
        let is_busy =
            "select 1 from pg_stat_activity where query like 'select sum%' and state = 'active'";
        while sql(&server, is_busy).await.is_empty() {}
        kill(old);
        until("another server", || server.pid().is_some_and(|pid| pid != old)).await;
    };
    let (lost, ()) = tokio::join!(busy, murder);
    assert!(lost.is_err(), "its connection is gone");
    assert_eq!(kept_rows(&server).await, 1);
    stop(server).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_started_again_ends_the_supervision_with_a_reason() {
    let dir = open_dir();
    let server = start(dir.path()).await;
    std::fs::remove_file(home_of(dir.path()).join("data/global/pg_control")).expect("it is there");
    kill(server.pid().expect("it is ready"));
    let reason = server.exited().await.expect("it was not asked to stop");
    assert!(reason.contains("pg_control"), "the end of the log is told: {reason}");
    assert!(server.ready().await.is_err());
    stop(server).await;
}

#[tokio::test]
async fn a_killed_supervisor_leaves_nothing_that_the_next_start_cannot_clean() {
    let dir = open_dir();
    let program = std::env::current_exe().expect("this binary");
    let helper = Helper::start(&program, dir.path(), None);
    let orphan = helper.pid;
    helper.kill();

    let server = start(dir.path()).await;
    assert_eq!(kept_rows(&server).await, 1);
    assert_ne!(server.pid(), Some(orphan));
    let stands_in = std::fs::read_link(format!("/proc/{orphan}/cwd")).ok();
    assert_ne!(stands_in, Some(home_of(dir.path()).join("data")), "the orphan has ended");
    stop(server).await;
}

#[tokio::test]
async fn the_server_of_a_killed_supervisor_ends_by_itself() {
    let dir = open_dir();
    let program = std::env::current_exe().expect("this binary");
    let helper = Helper::start(&program, dir.path(), None);
    let orphan = format!("/proc/{}/cwd", helper.pid);
    helper.kill();
    until("the orphan's end", || std::fs::read_link(&orphan).is_err()).await;
}

#[tokio::test]
async fn a_server_that_somebody_left_running_is_ended_first() {
    let dir = open_dir();
    let first = start(dir.path()).await;
    keep_a_row(&first).await;
    let program = first.installation().program("postgres");
    let socket_dir = first.endpoint().socket_dir.clone();
    let pgdata = home_of(dir.path()).join("data");
    stop(first).await;
    let owner = std::fs::metadata(&pgdata).expect("it is there");
    let mut stray = Command::new(program);
    stray.arg("-D").arg(&pgdata).arg("-k").arg(socket_dir);
    stray.args(["-c", "listen_addresses="]).current_dir("/");
    if is_root() {
        stray.uid(owner.uid()).gid(owner.gid());
    }
    let mut stray = stray.spawn().expect("it can be run");
    until("the stray server", || pgdata.join("postmaster.pid").exists()).await;

    let server = start(dir.path()).await;
    assert!(stray.wait().is_ok(), "it has ended, or the test would hang here");
    assert_eq!(kept_rows(&server).await, 1);
    stop(server).await;
}

#[tokio::test]
async fn a_pid_file_that_names_a_living_stranger_does_not_stop_a_start() {
    let dir = open_dir();
    stop(start(dir.path()).await).await;
    let pid_file = home_of(dir.path()).join("data/postmaster.pid");
    std::fs::write(&pid_file, format!("{}\n", std::process::id())).expect("our own directory");
    stop(start(dir.path()).await).await;
}

#[tokio::test]
async fn a_dropped_handle_stops_the_server() {
    let dir = open_dir();
    let server = start(dir.path()).await;
    let running = format!("/proc/{}", server.pid().expect("it is ready"));
    drop(server);
    until("its end", || !std::path::Path::new(&running).exists()).await;
}

#[tokio::test]
async fn the_server_does_not_run_as_root_and_its_files_are_its_own() {
    let dir = open_dir();
    let server = start(dir.path()).await;
    let user = user_of(server.pid().expect("it is ready"));
    assert_ne!(user, 0);
    let private = [home_of(dir.path()), server.endpoint().socket_dir.clone()];
    for path in private {
        let it = std::fs::metadata(&path).expect("it is there");
        assert_eq!((it.uid(), it.mode() & 0o777), (user, 0o700), "{path:?}");
    }
    let secret = std::fs::metadata(dir.path().join("postgres.secret")).expect("it is there");
    assert_eq!(secret.mode() & 0o777, 0o600);
    assert_eq!(secret.uid(), rustix::process::geteuid().as_raw());
    stop(server).await;
}

#[tokio::test]
async fn commits_are_durable_and_nobody_outside_can_connect() {
    let dir = open_dir();
    let durable = misy_store::embedded::EmbeddedConfig { disposable: false, ..config(dir.path()) };
    let server = EmbeddedPostgres::start(durable).await.expect("it starts");
    let expected = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("jit", "off"),
        ("max_connections", "20"),
    ];
    for (name, value) in expected {
        assert_eq!(setting(&server, name).await, value, "{name}");
    }
    let mut stranger = server.config("postgres");
    stranger.password("guess");
    let refused = misy_testkit::postgres::query(&stranger, "select 1").await;
    assert!(refused.is_err());
    stop(server).await;
}

#[tokio::test]
async fn the_log_repeats_neither_statements_nor_rows() {
    let dir = open_dir();
    let server = start(dir.path()).await;
    sql(&server, "create table people (mail text primary key)").await;
    sql(&server, "insert into people values ('canary@example.org')").await;
    let failures = [
        "insert into people values ('canary@example.org')",
        "select 'canary'::int",
        "select canary from nowhere",
        "do $$ begin raise warning 'canary'; end $$",
    ];
    for statement in failures {
        drop(try_sql(&server, statement).await);
    }
    let old = server.pid().expect("it is ready");
    let suicide = "select pg_terminate_backend(pg_backend_pid()), 'canary'";
    assert!(try_sql(&server, suicide).await.is_err());
    kill(old);
    until("another server", || server.pid().is_some_and(|pid| pid != old)).await;
    stop(server).await;
    let log = std::fs::read_to_string(dir.path().join("postgres.log")).expect("it was written");
    assert!(log.contains("database system is ready"), "it says something: {log}");
    assert!(!log.contains("canary"), "{log}");
}
