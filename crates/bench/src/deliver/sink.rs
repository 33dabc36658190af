//! Room `bench`: a receiver on loopback that answers after a while and notes what came and when.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::stage::clock_us;
use crate::Failure;

/// A request that is larger than this is not one of ours.
const LIMIT: usize = 1 << 20;

#[derive(Default)]
struct Notes {
    /// How often each id came.
    ids: HashMap<String, u32>,
    delays: Vec<Duration>,
}

/// The receiver; it ends with this.
pub(super) struct Sink {
    address: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    _serving: JoinSet<()>,
}

impl Sink {
    /// One that takes so long for each answer.
    pub(super) async fn start(pause: Duration) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let notes = Arc::<Mutex<Notes>>::default();
        let (shared, mut serving) = (Arc::clone(&notes), JoinSet::new());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, pause, Arc::clone(&shared)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, notes, _serving: serving })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn count(&self) -> usize {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).delays.len()
    }

    /// Waits until so many have come, or as long as there is patience.
    pub(super) async fn wait_for(&self, count: usize, patience: Duration) {
        let begun = Instant::now();
        while self.count() < count && begun.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// How many of these are missing, and how many came more than once.
    pub(super) fn compare(&self, accepted: &[String]) -> (usize, usize) {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = accepted.iter().filter(|id| !notes.ids.contains_key(*id)).count();
        (lost, notes.ids.values().filter(|times| **times > 1).count())
    }

    /// Begins anew; gives the delays so far.
    pub(super) fn forget(&self) -> Vec<Duration> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *notes).delays
    }
}

async fn serve(mut stream: TcpStream, pause: Duration, notes: Arc<Mutex<Notes>>) {
    let _ = stream.set_nodelay(true);
    let (mut bytes, mut part) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let Some((head, end)) = request(&bytes) else {
            match stream.read(&mut part).await {
                Ok(number) if number > 0 && bytes.len() < LIMIT => {
                    bytes.extend_from_slice(&part[..number]);
                    continue;
                }
                _ => return,
            }
        };
        note(&bytes[..head], &bytes[head..end], &notes);
        bytes.drain(..end);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Where the head ends and where the body does, if both are there.
fn request(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length: usize = header(text, "content-length")?.parse().ok()?;
    (bytes.len() >= head + length).then_some((head, head + length))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    head.lines().find_map(of)
}

fn note(head: &[u8], body: &[u8], notes: &Mutex<Notes>) {
    let now = clock_us();
    let head = std::str::from_utf8(head).unwrap_or_default();
    let id = header(head, "webhook-id").unwrap_or_default().to_owned();
    let body = std::str::from_utf8(body).unwrap_or_default();
    let sent = body.split_once("\"at_us\":").and_then(|(_, rest)| {
        let digits = rest.split(|one: char| !one.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    });
    let delay = Duration::from_micros(now.saturating_sub(sent.unwrap_or(now)));
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    *notes.ids.entry(id).or_default() += 1;
    notes.delays.push(delay);
}
