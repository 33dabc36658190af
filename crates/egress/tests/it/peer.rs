//! A peer that reads one request per connection and does as told.

use std::sync::{Arc, Mutex};

use misy_core::{Ambient, Clock, Entropy, Role, TenantId, Timestamp};
use misy_egress::{Answer, Call, Config, Error, Gateway};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the peer does once it has read a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers with these bytes and closes.
    Answer(String),
    /// Closes without a word.
    Drop,
    /// Closes the first time, answers from then on.
    Recover(String),
    /// Reads and stays silent.
    Hang,
}

pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Act {
    Act::Answer(text(status, headers, body))
}

/// An answer as it goes over the wire.
pub(crate) fn text(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    let close = "Connection: close";
    format!("HTTP/1.1 {status} X\r\n{headers}{close}\r\nContent-Length: {length}\r\n\r\n{body}")
}

pub(crate) struct Peer {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
    _serving: tokio::task::JoinSet<()>,
}

impl Peer {
    pub(crate) async fn new(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1/x", listener.local_addr().expect("bound"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let heard = {
                    let mut log = log.lock().expect("no panic inside");
                    log.push(request);
                    log.len()
                };
                match &act {
                    Act::Recover(text) if heard > 1 => {
                        let _ = stream.write_all(text.as_bytes()).await;
                    }
                    Act::Answer(text) => {
                        let _ = stream.write_all(text.as_bytes()).await;
                    }
                    Act::Hang => open.push(stream),
                    Act::Drop | Act::Recover(_) => {}
                }
            }
        });
        Self { url, heard, _serving: serving }
    }

    /// The requests so far, whole.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic inside").clone()
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_string();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length:").map(str::to_owned)
                })
                .map_or(0, |text| text.trim().parse::<usize>().expect("a length"));
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
        }
    }
}

struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}
impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// Every tenant's way out, with the limits of one process.
pub(crate) struct Ways(Gateway);

impl Ways {
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, Error> {
        let way = self.0.of(&misy_testkit::ctx(call.tenant, Role::Owner));
        way.call(call).await
    }
}

pub(crate) fn gateway(config: Config) -> Gateway {
    Gateway::new(config, Ambient::new(Arc::new(Fixed), Arc::new(Fixed)))
}

pub(crate) fn egress(config: Config) -> Ways {
    Ways(gateway(config))
}

/// Private hosts allowed, and little patience.
pub(crate) fn local() -> Config {
    Config { private_hosts_allowed: true, deadline_ms: 2_000, ..Config::default() }
}

pub(crate) fn tenant(number: u8) -> TenantId {
    format!("ten_0000000000000000000000000{number}").parse().expect("an id")
}

pub(crate) fn post(url: &str) -> Call {
    let mut call = Call::new(tenant(1), "cha_1", http::Method::POST, url, "/{version}/x")
        .expect("a valid URL")
        .body("application/json", r#"{"hello":"world"}"#);
    call.private_hosts_allowed = true;
    call
}
