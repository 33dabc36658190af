//! Room `store`: what a start finds out about a database, as the role that it works with.

use std::path::PathBuf;

use misy_store::isolation::{EnsureError, Weight, ensure, inspect, probe};
use misy_store::{DbRole, RolePasswords};
use misy_testkit::TestDatabase;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use uuid::Uuid;

use crate::wire::wire;

const NOBODY: Uuid = Uuid::from_u128(0xdead);

/// A wall torn down for good, and words of the refusal: what is wrong, and what to do.
const TORN: [(&str, &str, &str); 12] = [
    (
        "alter table messages disable row level security",
        "messages: row-level security is off",
        "`alter table messages enable row level security`",
    ),
    (
        "alter table users no force row level security",
        "users: row-level security is not forced",
        "`alter table users force row level security`",
    ),
    (
        "create policy wide on contacts for select to misy_tenant using (true)",
        "contacts: must have the one policy tenant_isolation and no other",
        "misy_protect_tenant_table('contacts')",
    ),
    (
        "create table notes (id uuid primary key); grant select on notes to misy_tenant",
        "notes: has no `tenant_id uuid not null`",
        "tables come from migrations alone",
    ),
    ("grant truncate on inbox to misy_tenant", "inbox: misy_tenant may TRUNCATE", "revoke"),
    (
        "create unique index leak on contacts (id)",
        "contacts: index leak does not lead with tenant_id",
        "`drop index leak`",
    ),
    (
        "create view leak as select * from messages; grant select on leak to misy_tenant",
        "leak: a view must be security_invoker",
        "security_invoker = true",
    ),
    ("grant select on sessions to misy_tenant", "sessions: misy_tenant may touch it", "revoke all"),
    (
        "create function peek() returns bigint language sql security definer
            as 'select count(*) from messages'",
        "peek: runs with its owner's rights and is not on the list",
        "`drop function peek`",
    ),
    (
        "alter function misy_account_of(text, uuid) set search_path = public",
        "misy_account_of: runs with its owner's rights without the pinned search_path",
        "set search_path = pg_catalog, public, pg_temp`",
    ),
    ("drop table early_statuses, plans cascade", "plans: is missing", "run `misybot migrate`"),
    (
        "do $$ begin execute format('alter database %I set misy.tenant = %L', current_database(),
            '00000000-0000-0000-0000-00000000000a'); end $$",
        "session: begins inside a tenant",
        "reset \"misy.tenant\"",
    ),
];

async fn refusal(server: &Config, passwords: &RolePasswords) -> String {
    let refused = ensure(server, passwords).await.expect_err("it must be refused");
    assert!(matches!(refused, EnsureError::Refused(_)), "{refused}");
    refused.to_string()
}

#[tokio::test]
async fn a_migrated_database_is_let_in_and_tells_what_it_is() {
    let database = TestDatabase::create().await;
    let report =
        ensure(database.superuser(), database.passwords()).await.expect("tenants are apart");
    assert_eq!(report.faults, []);
    assert!(report.server().is_safe());
    assert_eq!(report.catalog.session.user, "misy_tenant");
    assert!(report.catalog.tenant_tables().count() >= 15);
}

#[tokio::test]
async fn each_torn_wall_is_refused_in_words_that_say_what_to_do() {
    for (change, broken, remedy) in TORN {
        let database = TestDatabase::create().await;
        wire(database.superuser()).await.batch_execute(change).await.expect(change);
        let said = refusal(database.superuser(), database.passwords()).await;
        let line = said.lines().find(|line| line.contains(broken));
        let line = line.unwrap_or_else(|| panic!("{change}: not said: {said}"));
        assert!(line.contains(remedy), "{change}: no remedy: {line}");
        assert!(said.starts_with("the database does not keep tenants apart"), "{said}");
    }
}

#[tokio::test]
async fn a_database_that_was_never_migrated_is_told_to_be() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    client.batch_execute("drop schema public cascade; create schema public").await.expect("empty");
    let said = refusal(database.superuser(), database.passwords()).await;
    assert!(said.contains("it was never migrated; run `misybot migrate`"), "{said}");
    assert_eq!(said.lines().count(), 3, "one sentence, not one for each table: {said}");
}

#[tokio::test]
async fn a_table_of_somebody_else_that_no_tenant_reaches_is_reported_and_let_in() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    client.batch_execute("create table other (id int)").await.expect("made");
    let report = ensure(database.superuser(), database.passwords()).await.expect("let in");
    assert!(report.faults.iter().any(|fault| fault.subject == "other"));
    assert!(report.faults.iter().all(|fault| fault.weight == Weight::Weakens));
}

#[tokio::test]
async fn what_another_database_of_the_server_has_does_not_matter() {
    let (ours, theirs) = (TestDatabase::create().await, TestDatabase::create().await);
    let client = wire(theirs.superuser()).await;
    let torn = "alter table messages disable row level security;
        create table own (id int); alter table own owner to misy_tenant;
        grant execute on function set_config(text, text, boolean) to misy_tenant";
    client.batch_execute(torn).await.expect("torn down there");
    let report = ensure(ours.superuser(), ours.passwords()).await.expect("ours is whole");
    assert_eq!(report.faults, []);
    let said = refusal(theirs.superuser(), theirs.passwords()).await;
    assert!(said.contains("misy_tenant: owns what policies cannot bind it on"), "{said}");
}

/// A server that says it is older than it is.
struct Older {
    dir: TempDir,
    _tasks: JoinSet<()>,
}

impl Older {
    fn before(server: &Config) -> Self {
        let port = server.get_ports().first().copied().unwrap_or(5432);
        let Host::Unix(socket) = &server.get_hosts()[0] else { panic!("tests use a socket") };
        let socket = socket.join(format!(".s.PGSQL.{port}"));
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).expect("a socket");
        let mut tasks = JoinSet::new();
        tasks.spawn(Self::serve(listener, socket));
        Self { dir, _tasks: tasks }
    }

    async fn serve(listener: UnixListener, socket: PathBuf) {
        let mut pipes = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.expect("the server is there");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            pipes.spawn(pass(from_client, to_server, |bytes| bytes));
            pipes.spawn(pass(from_server, to_client, backdate));
        }
    }

    fn config(&self, like: &Config) -> Config {
        let mut config = Config::new();
        config.host_path(self.dir.path()).port(5432);
        config.dbname(like.get_dbname().expect("a database"));
        config
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    change: fn(Vec<u8>) -> Vec<u8>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let _ = to.write_all(&change(buffer[..length].to_vec())).await;
    }
}

/// Puts the last minor before the fix in place of the version that the server names.
fn backdate(mut bytes: Vec<u8>) -> Vec<u8> {
    const NAMED: &[u8] = b"\"version\" : 1500";
    if let Some(at) = bytes.windows(NAMED.len()).position(|window| window == NAMED) {
        bytes[at + NAMED.len()..][..2].copy_from_slice(b"13");
    }
    bytes
}

#[tokio::test]
async fn a_server_without_the_last_fix_of_row_level_security_is_refused() {
    let database = TestDatabase::create().await;
    let older = Older::before(database.superuser());
    let said = refusal(&older.config(database.superuser()), database.passwords()).await;
    let wanted = "server: PostgreSQL 15.13 lacks the last fixes to row-level security; update it \
                  to 15.14, 16.10, 17.6, 18.0 or later";
    assert!(said.contains(wanted), "{said}");
}

#[tokio::test]
async fn a_probe_gets_nothing_from_a_whole_database_and_something_where_a_wall_is_gone() {
    let database = TestDatabase::create().await;
    let client = wire(database.superuser()).await;
    let row = "insert into contacts (tenant_id, id) values
        ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-000000000001')";
    client.batch_execute(row).await.expect("a row of somebody");
    let (server, passwords) = (database.superuser(), database.passwords());
    let catalog = inspect(server, passwords).await.expect("readable").catalog;
    let probes = probe(server, passwords, &catalog, NOBODY).await.expect("probed");
    let leaked: Vec<_> = probes.iter().filter(|probe| probe.leaked.is_some()).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert!(probes.len() > 2 * catalog.tenant_tables().count());
    for wall in [
        "alter table contacts disable row level security",
        "create policy wide on contacts for select to misy_tenant using (true)",
        "alter policy tenant_isolation on contacts using (
            tenant_id <> coalesce(nullif(current_setting('misy.tenant', true), ''), 'b')::uuid)",
    ] {
        client.batch_execute(wall).await.expect("torn down");
        let probes = probe(server, passwords, &catalog, NOBODY).await.expect("probed");
        let of = |name: &str| {
            let wanted = format!("select from {name} limit 1 ");
            probes
                .iter()
                .filter(|one| one.tried.starts_with(&wanted) && one.leaked.is_some())
                .count()
        };
        assert!(of("contacts") > 0, "{wall}");
        assert_eq!(of("users"), 0, "{wall}");
        client.batch_execute("alter table contacts enable row level security").await.expect("up");
    }
}

#[tokio::test]
async fn the_wrong_password_is_no_leak_but_an_error() {
    let database = TestDatabase::create().await;
    let other = RolePasswords::derive(&misy_core::crypto::Key::new([1; 32]));
    let error = ensure(database.superuser(), &other).await.expect_err("nobody gets in");
    assert!(matches!(error, EnsureError::Store(_)), "{error}");
    assert_eq!(DbRole::Tenant.name(), "misy_tenant");
}
