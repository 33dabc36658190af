//! Room `integration`: a receiver on loopback that keeps what it got and answers as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How a receiver answers.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// A status, with headers as text lines, after a pause.
    Status(u16, &'static str, Duration),
    /// 200 with what `data.challenge` says.
    Echo,
    /// A status with headers as text lines and a body.
    Text(u16, &'static str, String),
    /// These statuses one after another, the last for ever.
    Each(Vec<u16>),
    /// A body without end, as fast as it goes.
    Flood,
    /// A byte of the body now and then.
    Drip,
    /// Headers without end.
    Headers,
    /// Takes the connection and says nothing.
    Silence,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> String {
        let of = |line: &str| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        self.head.lines().find_map(of).unwrap_or_default()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// What a receiver shares with its connections.
#[derive(Debug)]
struct Inside {
    manner: Mutex<Manner>,
    heard: Mutex<Vec<Heard>>,
    connections: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    written: AtomicUsize,
}

/// The receiver; its connections end with it.
#[derive(Debug)]
pub(crate) struct Sink {
    inside: Arc<Inside>,
    scheme: &'static str,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Sink {
    pub(crate) async fn new(manner: Manner) -> Self {
        Self::behind(manner, None).await
    }

    /// One that speaks TLS, if it is told how.
    pub(crate) async fn behind(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let inside = Arc::new(Inside {
            manner: Mutex::new(manner),
            heard: Mutex::default(),
            connections: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
        });
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&inside);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    let Some(tls) = tls else { return serve(stream, shared).await };
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, shared).await;
                    }
                });
            }
        });
        Self { inside, scheme, address, _serving: serving }
    }

    /// One that answers 200 at once.
    pub(crate) async fn kind() -> Self {
        Self::new(Manner::Status(200, "", Duration::ZERO)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it is by a name.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}://{name}:{}/hook", self.scheme, self.port())
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.inside.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.inside.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.inside.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.inside.most_at_once.load(Ordering::SeqCst)
    }

    /// Bytes that it could write of its endless answers.
    pub(crate) fn written(&self) -> usize {
        self.inside.written.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, inside: Arc<Inside>) {
    while let Some(heard) = read(&mut stream).await {
        let challenge = heard.body.clone();
        inside.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
        let now = inside.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        inside.most_at_once.fetch_max(now, Ordering::SeqCst);
        let manner = inside.manner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answered = answer(&mut stream, manner, &inside, &challenge).await;
        inside.at_once.fetch_sub(1, Ordering::SeqCst);
        if answered.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Heard> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut part = [0; 4096];
        let number = stream.read(&mut part).await.ok().filter(|number| *number > 0)?;
        bytes.extend_from_slice(&part[..number]);
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let heard = Heard { head, body: Vec::new() };
    let length: usize = heard.header("content-length").parse().unwrap_or(0);
    while bytes.len() < end + length {
        let mut part = [0; 4096];
        let number = stream.read(&mut part).await.ok().filter(|number| *number > 0)?;
        bytes.extend_from_slice(&part[..number]);
    }
    Some(Heard { body: bytes[end..end + length].to_vec(), ..heard })
}

async fn answer(
    stream: &mut (impl AsyncWrite + Unpin),
    manner: Manner,
    inside: &Inside,
    request: &[u8],
) -> std::io::Result<()> {
    match manner {
        Manner::Status(status, lines, pause) => {
            tokio::time::sleep(pause).await;
            let text = format!("HTTP/1.1 {status} X\r\n{lines}content-length: 2\r\n\r\nok");
            stream.write_all(text.as_bytes()).await
        }
        Manner::Text(status, lines, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\n{lines}content-length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await
        }
        Manner::Echo => {
            let body: serde_json::Value = serde_json::from_slice(request).unwrap_or_default();
            let body = body["data"]["challenge"].as_str().unwrap_or("none").to_owned();
            let length = body.len();
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await
        }
        Manner::Each(mut statuses) => {
            let status = statuses[0];
            if statuses.len() > 1 {
                statuses.remove(0);
                let mut manner = inside.manner.lock().unwrap_or_else(PoisonError::into_inner);
                *manner = Manner::Each(statuses);
            }
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await
        }
        Manner::Flood => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 536870912\r\n\r\n").await?;
            let part = vec![b'x'; 64 * 1024];
            loop {
                stream.write_all(&part).await?;
                inside.written.fetch_add(part.len(), Ordering::SeqCst);
            }
        }
        Manner::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Manner::Headers => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                let line = format!("x-{}: {}\r\n", inside.written(), "y".repeat(1_000));
                stream.write_all(line.as_bytes()).await?;
                inside.written.fetch_add(line.len(), Ordering::SeqCst);
            }
        }
        Manner::Silence => std::future::pending().await,
    }
}

impl Inside {
    fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }
}
