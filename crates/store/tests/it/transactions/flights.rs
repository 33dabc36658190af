//! Room `store`: how often a transaction waits for the network. A proxy holds each answer back a
//! little and counts how often the program speaks after it was answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use misy_store::audit::Audit;
use misy_store::{Config, Db};
use misy_testkit::{TestDatabase, ambient, platform_ctx};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_postgres::config::Host;

use crate::stage::{add, count, ctx};

#[derive(Default)]
struct Count {
    flights: AtomicU64,
    answered: AtomicBool,
}

struct Proxy {
    dir: TempDir,
    count: Arc<Count>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    fn before(server: PathBuf) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).expect("a socket");
        let count = Arc::new(Count { answered: AtomicBool::new(true), ..Count::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, server, Arc::clone(&count)));
        Self { dir, count, _tasks: tasks }
    }

    fn flights(&self) -> u64 {
        self.count.flights.load(Ordering::SeqCst)
    }
}

async fn serve(listener: UnixListener, server: PathBuf, count: Arc<Count>) {
    let mut pipes = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = UnixStream::connect(&server).await.expect("the server listens");
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let (asking, answering) = (Arc::clone(&count), Arc::clone(&count));
        pipes.spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                if asking.answered.swap(false, Ordering::SeqCst) {
                    asking.flights.fetch_add(1, Ordering::SeqCst);
                }
                to_server.write_all(&buffer[..length]).await.expect("the server reads");
            }
        });
        pipes.spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                tokio::time::sleep(Duration::from_millis(30)).await;
                answering.answered.store(true, Ordering::SeqCst);
                let _ = to_client.write_all(&buffer[..length]).await;
            }
        });
    }
}

/// A door with one connection a role, behind a proxy.
async fn behind_proxy() -> (TestDatabase, Proxy, Db) {
    let database = TestDatabase::create().await;
    let server = database.superuser();
    let port = server.get_ports().first().copied().unwrap_or(5432);
    let socket = match &server.get_hosts()[0] {
        Host::Unix(dir) => dir.join(format!(".s.PGSQL.{port}")),
        Host::Tcp(_) => PathBuf::from(format!("/var/run/postgresql/.s.PGSQL.{port}")),
    };
    let proxy = Proxy::before(socket);
    let mut through = tokio_postgres::Config::new();
    through.host_path(proxy.dir.path());
    through.port(5432);
    through.dbname(server.get_dbname().expect("a database"));
    let config = Config { tenant_connections: 1, platform_connections: 1, ..Config::default() };
    let db = Db::open(&through, database.passwords(), &config, ambient());
    (database, proxy, db)
}

async fn read(db: &Db) {
    let mut tx = db.read(&ctx(1)).await.expect("a connection");
    count(&mut tx).await;
}

async fn write(db: &Db, statements: u128, first: u128) {
    let mut tx = db.tenant(&ctx(1)).await.expect("a connection");
    for id in first..first + statements {
        add(&mut tx, id).await;
        tx.audit(Audit::new("contact.created", "contact", id));
    }
    tx.commit().await.expect("it is kept");
}

#[tokio::test]
async fn a_tenants_read_is_one_round_trip() {
    let (_database, proxy, db) = behind_proxy().await;
    read(&db).await;
    let before = proxy.flights();
    assert!(before > 0, "the proxy is on the way");
    for _ in 0..5 {
        read(&db).await;
    }
    assert_eq!(proxy.flights() - before, 5);
}

#[tokio::test]
async fn a_write_of_n_statements_is_n_and_one_round_trips_audit_included() {
    let (_database, proxy, db) = behind_proxy().await;
    write(&db, 1, 1_000).await;
    for statements in [1, 2, 5] {
        let before = proxy.flights();
        write(&db, statements, statements * 10).await;
        assert_eq!(u128::from(proxy.flights() - before), statements + 1);
    }
}

#[tokio::test]
async fn an_untouched_transaction_is_no_round_trip_and_a_dropped_one_is_one_more() {
    let (_database, proxy, db) = behind_proxy().await;
    write(&db, 1, 1).await;
    let before = proxy.flights();
    drop(db.tenant(&ctx(1)).await.expect("a connection"));
    db.tenant(&ctx(1)).await.expect("a connection").commit().await.expect("nothing to keep");
    assert_eq!(proxy.flights(), before);
    let mut tx = db.tenant(&ctx(1)).await.expect("a connection");
    add(&mut tx, 2).await;
    drop(tx);
    drop(db.tenant(&ctx(1)).await.expect("the connection is back when it was rolled back"));
    assert_eq!(proxy.flights() - before, 2);
}

#[tokio::test]
async fn the_platforms_read_is_one_round_trip_too() {
    let (_database, proxy, db) = behind_proxy().await;
    for (round, expected) in [(0, None), (1, Some(1))] {
        let before = proxy.flights();
        let mut tx = db.platform_read(&platform_ctx()).await.expect("a connection");
        tx.query("select 1 from accounts", &[]).await.expect("it answers");
        if let Some(expected) = expected {
            assert_eq!(proxy.flights() - before, expected, "round {round}");
        }
    }
}
