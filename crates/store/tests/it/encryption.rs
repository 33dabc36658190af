//! Room `store`: encrypted connections, against a door that speaks TLS before the real server.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use misy_core::{Code, Public};
use misy_store::{Config, Db};
use misy_testkit::{TestDatabase, ambient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, crypto};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_postgres::config::{Host, SslMode};
use tokio_rustls::TlsAcceptor;

/// The text with which a client asks for encryption (PostgreSQL protocol, `SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// Run by [`a_trusted_server_is_talked_to_in_secret`] with the authority in its environment.
const INSIDE: &str = "encryption::inside";
/// How the door is named to it, in the guise of one more test's name.
const DOOR: &str = "door:";

struct Door {
    port: u16,
    authority: String,
    encrypted: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

/// A door whose certificate is for `name`; without a name it refuses encryption.
async fn door(database: &TestDatabase, name: Option<&str>) -> Door {
    let (authority, acceptor) = certified(name.unwrap_or("localhost"));
    let acceptor = name.map(|_| acceptor);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let encrypted = Arc::new(AtomicBool::new(false));
    let (socket, seen) = (socket(database), Arc::clone(&encrypted));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut guests = JoinSet::new();
        while let Ok((guest, _)) = listener.accept().await {
            guests.spawn(receive(guest, socket.clone(), acceptor.clone(), Arc::clone(&seen)));
        }
    });
    Door { port, authority, encrypted, _tasks: tasks }
}

async fn receive(
    mut guest: TcpStream,
    socket: PathBuf,
    acceptor: Option<TlsAcceptor>,
    encrypted: Arc<AtomicBool>,
) {
    let mut server = UnixStream::connect(socket).await.expect("the server listens");
    let mut first = [0; 8];
    guest.read_exact(&mut first).await.expect("a guest speaks first");
    if first != SSL_REQUEST {
        server.write_all(&first).await.expect("the server reads");
        let _ = copy_bidirectional(&mut guest, &mut server).await;
        return;
    }
    let Some(acceptor) = acceptor else {
        let _ = guest.write_all(b"N").await;
        return;
    };
    guest.write_all(b"S").await.expect("the guest reads");
    let Ok(mut guest) = acceptor.accept(guest).await else { return };
    encrypted.store(true, Ordering::SeqCst);
    let _ = copy_bidirectional(&mut guest, &mut server).await;
}

/// An authority in PEM and a server with a certificate of it.
fn certified(name: &str) -> (String, TlsAcceptor) {
    let mut of_authority = CertificateParams::new([]).expect("no names");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(of_authority, key()).expect("a certificate");
    let own = key();
    let params = CertificateParams::new([name.to_owned()]).expect("a host");
    let certificate = params.signed_by(&own, &authority).expect("a certificate");
    let config = ServerConfig::builder_with_provider(crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("a provider with everything")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(own.serialize_der()).into(),
        )
        .expect("the key is the certificate's");
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

fn socket(database: &TestDatabase) -> PathBuf {
    let server = database.superuser();
    let port = server.get_ports().first().copied().unwrap_or(5432);
    match &server.get_hosts()[0] {
        Host::Unix(dir) => dir.join(format!(".s.PGSQL.{port}")),
        Host::Tcp(host) => panic!("the test server is reached by its socket, not {host}"),
    }
}

fn through(port: u16, database: &TestDatabase, mode: SslMode) -> Db {
    let name = database.superuser().get_dbname().expect("a database");
    let mut server = tokio_postgres::Config::new();
    server.host("localhost").hostaddr([127, 0, 0, 1].into()).port(port).dbname(name).ssl_mode(mode);
    Db::open(&server, database.passwords(), &Config::default(), ambient())
}

#[tokio::test]
async fn what_is_only_preferred_is_not_encrypted() {
    let database = TestDatabase::create().await;
    let door = door(&database, Some("localhost")).await;
    through(door.port, &database, SslMode::Prefer).ping().await.expect("it answers");
    assert!(!door.encrypted.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let database = TestDatabase::create().await;
    let door = door(&database, Some("localhost")).await;
    let refused = through(door.port, &database, SslMode::Require).ping().await;
    assert_eq!(refused.expect_err("nobody vouches for it").code(), Code::Unavailable);
    assert!(!door.encrypted.load(Ordering::SeqCst), "the handshake ended first");
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_is_refused_if_that_is_required() {
    let database = TestDatabase::create().await;
    let door = door(&database, None).await;
    let refused = through(door.port, &database, SslMode::Require).ping().await;
    assert_eq!(refused.expect_err("it is in the clear").code(), Code::Unavailable);
}

#[tokio::test]
async fn a_trusted_server_is_talked_to_in_secret() {
    assert!(inside_with_certificate_for("localhost").await);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    assert!(!inside_with_certificate_for("other.example").await);
}

/// Runs [`inside`] as a process that trusts the door's authority; says whether it was let through.
async fn inside_with_certificate_for(name: &str) -> bool {
    let database = TestDatabase::create().await;
    let door = door(&database, Some(name)).await;
    let dir = tempfile::tempdir().expect("a directory");
    let authority = dir.path().join("authority.pem");
    std::fs::write(&authority, &door.authority).expect("ours to write");
    let program = std::env::current_exe().expect("this program");
    let dbname = database.superuser().get_dbname().expect("a database").to_owned();
    let mut command = Command::new(program);
    let door_name = format!("{DOOR}{} {dbname}", door.port);
    command.args(["--exact", "--ignored", INSIDE, &door_name]);
    command.env("SSL_CERT_FILE", &authority);
    let ran =
        tokio::task::spawn_blocking(move || command.output()).await.expect("it is waited for");
    let passed = ran.expect("it runs").status.success();
    passed && door.encrypted.load(Ordering::SeqCst)
}

#[tokio::test]
#[ignore = "is run by other tests, in an environment of its own"]
async fn inside() {
    let Some(door) = std::env::args().find_map(|one| Some(one.strip_prefix(DOOR)?.to_owned()))
    else {
        return;
    };
    let (port, dbname) = door.split_once(' ').expect("both");
    let database = TestDatabase::create().await;
    let url =
        format!("host=localhost hostaddr=127.0.0.1 port={port} dbname={dbname} sslmode=require");
    let server: tokio_postgres::Config = url.parse().expect("a server");
    let db = Db::open(&server, database.passwords(), &Config::default(), ambient());
    db.ping().await.expect("it answers");
}
