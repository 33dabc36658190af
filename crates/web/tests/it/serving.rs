//! Room `web`: connections, over real sockets of this machine.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use misy_web::serve::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

struct Server {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinSet<()>,
}

async fn start(router: Router, config: Config) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = JoinSet::new();
    running.spawn(misy_web::serve(listener, router, config, async move {
        stopped.await.ok();
    }));
    Server { address, stop, running }
}

async fn send(server: &Server, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok();
    text
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_that_is_under_way_is_finished_before_the_end() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, gate) = (Arc::clone(&entered), Arc::clone(&leave));
    let handler = async move || {
        inside.notify_one();
        gate.notified().await;
        "done"
    };
    let mut server = start(Router::new().route("/", get(handler)), Config::default()).await;
    let stream = send(&server, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    entered.notified().await;
    server.stop.send(()).expect("it listens");
    leave.notify_one();
    let answer = read_all(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    server.running.join_next().await.expect("it ran").expect("it ended well");
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_when_the_drain_time_is_over() {
    let entered = Arc::new(Notify::new());
    let inside = Arc::clone(&entered);
    let handler = async move || {
        inside.notify_one();
        std::future::pending::<()>().await;
    };
    let config = Config { drain_ms: 50, ..Config::default() };
    let mut server = start(Router::new().route("/", get(handler)), config).await;
    let stream = send(&server, GET).await;
    entered.notified().await;
    server.stop.send(()).expect("it listens");
    server.running.join_next().await.expect("it ran").expect("it ended well");
    assert_eq!(read_all(stream).await, "");
}

#[tokio::test]
async fn a_head_that_never_ends_loses_its_connection() {
    let config = Config { header_read_ms: 50, ..Config::default() };
    let server = start(Router::new().route("/", get(async || "here")), config).await;
    let slow = send(&server, "GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
    let told = read_all(slow).await;
    assert!(!told.contains("here"), "{told}");
    assert!(read_all(send(&server, GET).await).await.ends_with("here"));
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let server = start(Router::new().route("/", get(async || "here")), Config::default()).await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(64 * 1024));
    let told = read_all(send(&server, &head).await).await;
    assert!(!told.contains("200 OK"), "{told}");
}

#[tokio::test]
async fn whoever_sends_more_than_is_wanted_still_reads_the_answer() {
    let router = Router::new().route("/", post(async || StatusCode::PAYLOAD_TOO_LARGE));
    let server = start(router, Config::default()).await;
    let length = 8 << 20;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = send(&server, &head).await;
    stream.write_all(&vec![b'x'; length]).await.expect("all of it is taken");
    stream.write_all(GET.as_bytes()).await.expect("the connection serves on");
    let told = read_all(stream).await;
    assert!(told.starts_with("HTTP/1.1 413") && told.contains("HTTP/1.1 405"), "{told}");
}

#[tokio::test]
async fn whoever_asks_before_sending_is_answered_at_once() {
    let router = Router::new().route("/", post(async || StatusCode::PAYLOAD_TOO_LARGE));
    let server = start(router, Config::default()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    let told = read_all(send(&server, head).await).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_seat() {
    let config = Config { max_connections: 1, ..Config::default() };
    let server = start(Router::new().route("/", get(async || "here")), config).await;
    let first = send(&server, "GET / HTTP/1.1\r\nhost: a\r\n").await;
    let second = send(&server, GET).await;
    drop(first);
    assert!(read_all(second).await.ends_with("here"));
}

#[tokio::test]
async fn the_admin_listener_shows_the_figures() {
    let handle = misy_web::metrics::install_recorder().expect("the only recorder here");
    crate::kit::TestApp::new().get::<crate::kit::Admin>("/v1/notes?limit=3").await;
    let admin = misy_web::admin_router(handle);
    let request = http::Request::get("/metrics").body(axum::body::Body::empty());
    let answer = crate::kit::call(&admin, request.expect("a request")).await.to_string();
    let counted = "misy_http_requests_total{route=\"/v1/notes\",method=\"GET\",status=\"200\"} ";
    assert!(answer.contains(counted), "{answer}");
    assert!(answer.contains("misy_http_request_seconds_bucket{route=\"/v1/notes\""), "{answer}");
    assert!(!answer.contains("limit"), "{answer}");
}
