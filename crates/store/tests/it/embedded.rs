//! Room `store`: the embedded PostgreSQL against real servers: whole lives, violent deaths, and
//! places where it is hard to live.

mod helper;
mod lives;
mod places;
mod refusals;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::postgres::{query, unpredictable};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio_postgres::Row;

/// A data directory that its owner alone can enter, as `mktemp -d` makes it.
fn closed_dir() -> TempDir {
    dir_of_mode(0o700)
}

/// A data directory that others can pass through.
fn open_dir() -> TempDir {
    dir_of_mode(0o755)
}

fn dir_of_mode(mode: u32) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path(), permissions).expect("our own directory");
    dir
}

fn config(data: &Path) -> EmbeddedConfig {
    let few = ("max_connections".to_owned(), "20".to_owned());
    let settings = BTreeMap::from([few]);
    EmbeddedConfig { settings, disposable: true, ..EmbeddedConfig::new(data, unpredictable()) }
}

async fn start(data: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(config(data)).await.expect("it starts")
}

async fn try_sql(server: &EmbeddedPostgres, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    query(&server.config("postgres"), sql).await
}

async fn sql(server: &EmbeddedPostgres, sql: &str) -> Vec<Row> {
    try_sql(server, sql).await.expect("the statement runs")
}

async fn setting(server: &EmbeddedPostgres, name: &str) -> String {
    sql(server, &format!("show {name}")).await[0].get(0)
}

async fn keep_a_row(server: &EmbeddedPostgres) {
    sql(server, "create table kept (v int)").await;
    sql(server, "insert into kept values (7)").await;
}

async fn kept_rows(server: &EmbeddedPostgres) -> i64 {
    sql(server, "select count(*) from kept").await[0].get(0)
}

async fn stop(server: EmbeddedPostgres) {
    server.stop().await.expect("it stops");
}

fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process id");
    rustix::process::kill_process(pid, Signal::KILL).expect("it is ours to kill");
}

/// Polls; the bound is only there so that a failure ends.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The effective user of a process.
fn user_of(pid: i32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("has a user");
    line.split_whitespace().nth(1).and_then(|uid| uid.parse().ok()).expect("a number")
}

/// Where the database of a data directory is.
fn home_of(data: &Path) -> PathBuf {
    let location = std::fs::read_to_string(data.join("postgres.location"));
    location.map_or_else(|_| data.join("postgres"), PathBuf::from)
}
