//! Room `testkit`: test databases are migrated, separate, and gone when their process is.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use misy_store::DbRole;
use misy_testkit::TestDatabase;
use misy_testkit::postgres::{Ready, query, sweep};
use tokio_postgres::{Config, Row};

async fn sql(config: &Config, sql: &str) -> Vec<Row> {
    query(config, sql).await.expect("the statement runs")
}

#[tokio::test]
async fn every_migration_is_in_it_and_every_role_can_sign_in() {
    let database = TestDatabase::create().await;
    let applied: i64 =
        sql(database.superuser(), "select count(*) from schema_migrations").await[0].get(0);
    assert!(applied > 0);
    for role in DbRole::ALL {
        let name: String = sql(&database.config(role), "select current_user::text").await[0].get(0);
        assert_eq!(name, role.name());
    }
    let owner: String = sql(&database.owner(), "select current_user::text").await[0].get(0);
    assert_eq!(owner, "misy_owner");
    database.db(misy_testkit::wall_ambient(1)).ping().await.expect("its pools reach it");
}

#[tokio::test]
async fn two_databases_made_at_once_share_no_table() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    sql(one.superuser(), "create table only_here (v int)").await;
    assert!(query(other.superuser(), "select * from only_here").await.is_err());
}

#[tokio::test]
async fn a_sweep_takes_the_databases_of_ended_processes_and_no_others() {
    let database = TestDatabase::create().await;
    let gone = "misy_test_4194305_of_no_process";
    sql(database.superuser(), &format!("create database {gone}")).await;
    sweep(database.superuser(), 1).await.expect("it sweeps");
    let left = format!("select 1 from pg_database where datname = '{gone}'");
    assert!(sql(database.superuser(), &left).await.is_empty());
    sql(database.superuser(), "select 1").await;
}

/// A server of our own, so that it can be stopped.
struct Server {
    process: Child,
    ready_file: PathBuf,
    ready: Ready,
}

impl Server {
    async fn start(program: &mut Command, dir: &Path) -> Self {
        let ready_file = dir.join("ready.json");
        program.arg("--dir").arg(dir.join("data")).arg("--ready-file").arg(&ready_file);
        let process = program.stdin(Stdio::null()).spawn().expect("it can be run");
        until("the ready file", || ready_file.exists()).await;
        let text = std::fs::read(&ready_file).expect("it is there");
        let ready = serde_json::from_slice(&text).expect("it is JSON");
        Self { process, ready_file, ready }
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_misy-testdb");

#[tokio::test]
async fn the_server_says_where_it_is_and_takes_that_back_when_it_is_told_to_stop() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut server = Server::start(&mut Command::new(PROGRAM), dir.path()).await;
    assert_eq!(server.ready.pid, server.process.id());
    let mode = std::fs::metadata(&server.ready_file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds a password");
    let url: Config = server.ready.url.parse().expect("a URL");
    sql(&url, "select 1").await;

    let stopped = Command::new("kill").arg(server.ready.pid.to_string()).status();
    assert!(stopped.expect("kill runs").success());
    assert!(server.process.wait().expect("it is ours").success());
    assert!(!server.ready_file.exists());
    assert!(query(&url, "select 1").await.is_err());
}

#[tokio::test]
async fn the_server_stops_when_its_parent_has_ended() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut parent = Command::new("sh");
    parent.args(["-c", "\"$0\" \"$@\" & wait", PROGRAM]);
    let mut server = Server::start(&mut parent, dir.path()).await;
    let url: Config = server.ready.url.parse().expect("a URL");
    sql(&url, "select 1").await;
    server.process.kill().expect("it runs");
    server.process.wait().expect("it is ours");
    until("its end", || !server.ready_file.exists()).await;
    until("the server's end", || !server.ready.socket_dir.join(".s.PGSQL.5432").exists()).await;
}
