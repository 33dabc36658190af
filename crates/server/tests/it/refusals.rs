//! Room `server`: nothing starts on a database in which a tenant could reach what is not its own,
//! and the doctor says what and what to do. On a server of its own: some of the walls are the
//! server's roles.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use misy_store::embedded::{EmbeddedConfig, EmbeddedPostgres};
use misy_testkit::postgres::{query, unpredictable};
use tokio::process::Command;

use crate::program::folder;

/// A wall torn down, how it is put up again, and what is said of it.
const TORN: [(&str, &str, &str); 10] = [
    (
        "alter role misy_tenant superuser",
        "alter role misy_tenant nosuperuser",
        "misy_tenant: has more power than a role of the program may have; as superuser: `alter \
         role misy_tenant nosuperuser",
    ),
    (
        "alter role misy_tenant bypassrls",
        "alter role misy_tenant nobypassrls",
        "misy_tenant: has more power than a role of the program may have",
    ),
    (
        "alter role misy_platform createrole",
        "alter role misy_platform nocreaterole",
        "misy_platform: has more power than a role of the program may have",
    ),
    (
        "grant misy_owner to misy_tenant",
        "revoke misy_owner from misy_tenant",
        "misy_tenant: is a member of another role; `revoke misy_owner from misy_tenant`",
    ),
    (
        "alter table contacts owner to misy_tenant",
        "alter table contacts owner to misy_owner",
        "misy_tenant: owns what policies cannot bind it on; `reassign owned by misy_tenant",
    ),
    (
        "alter role misy_owner login",
        "alter role misy_owner nologin",
        "misy_owner: can sign in; `alter role misy_owner nologin`",
    ),
    (
        "alter role misy_tenant set misy.tenant = '00000000-0000-0000-0000-00000000000a'",
        "alter role misy_tenant reset misy.tenant",
        "session: begins inside a tenant",
    ),
    (
        "grant create on schema public to misy_tenant",
        "revoke create on schema public from misy_tenant",
        "misy_tenant: may create objects",
    ),
    (
        "alter table messages no force row level security",
        "alter table messages force row level security",
        "messages: row-level security is not forced; as its owner: `alter table messages force",
    ),
    (
        "create policy wide on users for select to public using (true)",
        "drop policy wide on users",
        "users: must have the one policy tenant_isolation and no other",
    ),
];

struct Server {
    postgres: EmbeddedPostgres,
    folder: tempfile::TempDir,
}

impl Server {
    async fn migrated() -> Self {
        let folder = folder();
        let mut config = EmbeddedConfig::new(folder.path().join("postgres"), unpredictable());
        config.disposable = true;
        let postgres = EmbeddedPostgres::start(config).await.expect("a server");
        let server = Self { postgres, folder };
        let migrated = server.run(&["migrate"]).await;
        assert!(migrated.status.success(), "{}", said(&migrated));
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs the program to its end; one that goes on is a failure.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_misybot"));
        command.args(arguments).arg("--data").arg(self.data());
        command.env("MISYBOT__DATABASE__URL", self.postgres.url("postgres").expose());
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(Duration::from_mins(1), command.output()).await;
        ended.unwrap_or_else(|_| panic!("{arguments:?} was not refused")).expect("it runs")
    }

    async fn sql(&self, sql: &str) {
        query(&self.postgres.config("postgres"), sql).await.expect(sql);
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_on_a_database_that_breaks_a_rule_and_the_doctor_says_why() {
    let server = Server::migrated().await;
    for (torn, whole, wanted) in TORN {
        server.sql(torn).await;
        let served = server.run(&["serve"]).await;
        assert_eq!(served.status.code(), Some(1), "{torn}: {}", said(&served));
        assert!(said(&served).contains(wanted), "{torn}: {}", said(&served));
        assert!(!said(&served).contains("api: http"), "{torn}: it served");
        let examined = server.run(&["doctor"]).await;
        assert_eq!(examined.status.code(), Some(1), "{torn}: {}", said(&examined));
        let line = format!("FAIL  {wanted}");
        assert!(said(&examined).contains(&line), "{torn}: {}", said(&examined));
        server.sql(whole).await;
    }
    for verb in ["work", "up"] {
        server.sql(TORN[8].0).await;
        let started = server.run(&[verb]).await;
        assert_eq!(started.status.code(), Some(1), "{verb}: {}", said(&started));
        assert!(said(&started).contains(TORN[8].2), "{verb}: {}", said(&started));
        server.sql(TORN[8].1).await;
    }
    let examined = server.run(&["doctor", "--isolation"]).await;
    assert!(examined.status.success(), "all walls are up again: {}", said(&examined));
    server.postgres.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_every_table_and_changes_nothing() {
    let server = Server::migrated().await;
    let writes = "select sum(n_tup_ins + n_tup_upd + n_tup_del)::text from pg_stat_user_tables";
    let before = query(&server.postgres.config("postgres"), writes).await.expect("counted");
    let examined = server.run(&["doctor", "--isolation"]).await;
    let text = said(&examined);
    assert!(examined.status.success(), "{text}");
    let tables = "select tablename::text from pg_tables where schemaname = 'public'";
    let tables = query(&server.postgres.config("postgres"), tables).await.expect("listed");
    assert!(tables.len() > 30);
    for table in tables {
        let line = format!("table {} (", table.get::<_, String>(0));
        assert!(text.contains(&line), "{line} is missing: {text}");
    }
    assert!(text.contains("attempts as misy_tenant to get at rows got none"), "{text}");
    assert!(text.contains("func  misy_account_of: with the rights of misy_owner"), "{text}");
    let after = query(&server.postgres.config("postgres"), writes).await.expect("counted");
    assert_eq!(before[0].get::<_, String>(0), after[0].get::<_, String>(0));
    let short = server.run(&["doctor"]).await;
    assert!(short.status.success(), "{}", said(&short));
    assert!(said(&short).contains("has the last fixes to row-level security"), "{}", said(&short));
    server.postgres.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_take_set_config_away_it_starts_and_says_so() {
    let server = Server::migrated().await;
    server.sql("grant execute on function set_config(text, text, boolean) to public").await;
    let examined = server.run(&["doctor"]).await;
    assert!(examined.status.success(), "{}", said(&examined));
    let wanted = "WARN  misy_tenant: may run set_config; as superuser: `revoke execute";
    assert!(said(&examined).contains(wanted), "{}", said(&examined));
    server.postgres.stop().await.expect("stopped");
}
