//! Room `bench`: a receiver on loopback that answers in its manner and notes what came and when.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::manner::Manner;
use super::stage::clock_us;
use crate::Failure;

/// A request that is larger than this is not one of ours.
const LIMIT: usize = 1 << 20;

#[derive(Default)]
struct Notes {
    /// How often each id came.
    ids: HashMap<String, u32>,
    delays: Vec<Duration>,
    /// Requests whose answer the other side still listens to.
    open: usize,
    /// The longest that it listened to one.
    held: Duration,
}

/// The receiver; it ends with this.
pub(super) struct Sink {
    address: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    _serving: JoinSet<()>,
}

impl Sink {
    /// One that answers like this.
    pub(super) async fn start(manner: Manner) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let notes = Arc::<Mutex<Notes>>::default();
        let (shared, mut serving) = (Arc::clone(&notes), JoinSet::new());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, manner, Arc::clone(&shared)));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, notes, _serving: serving })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many came since it last forgot.
    pub(super) fn count(&self) -> usize {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).delays.len()
    }

    /// Waits until nobody listens any more, or as long as there is patience; gives the longest
    /// that somebody did.
    pub(super) async fn wait_until_left(&self, patience: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let (open, held) = {
                let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
                (notes.open, notes.held)
            };
            if open == 0 || begun.elapsed() >= patience {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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
        let open = notes.open;
        std::mem::replace(&mut *notes, Notes { open, ..Notes::default() }).delays
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, notes: Arc<Mutex<Notes>>) {
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
        let begun = Instant::now();
        let goes_on = manner.answer(&mut stream).await;
        note_end(begun.elapsed(), &notes);
        if !goes_on {
            return;
        }
    }
}

fn note_end(held: Duration, notes: &Mutex<Notes>) {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.open = notes.open.saturating_sub(1);
    notes.held = notes.held.max(held);
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
    notes.open += 1;
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nwebhook-id: evt_1\r\ncontent-length: 2\r\n\r\n{}";

    async fn ask(sink: &Sink) -> TcpStream {
        let mut stream = TcpStream::connect(sink.address).await.expect("it listens");
        stream.write_all(REQUEST).await.expect("it reads");
        stream
    }

    async fn read(stream: &mut TcpStream, bytes: usize) -> String {
        let mut part = vec![0; bytes];
        stream.read_exact(&mut part).await.expect("it answers");
        String::from_utf8(part).expect("text")
    }

    #[tokio::test]
    async fn each_manner_answers_in_its_own_way() {
        for (manner, line) in [
            (Manner::PROMPT, "HTTP/1.1 204"),
            (Manner::Failing, "HTTP/1.1 500"),
            (Manner::Flooding, "HTTP/1.1 200 OK\r\ncontent-length: 536870912"),
            (Manner::Dripping, "HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\nx"),
            (Manner::Rambling, "HTTP/1.1 200 OK\r\nx-more: "),
        ] {
            let sink = Sink::start(manner).await.expect("a port is free");
            assert_eq!(read(&mut ask(&sink).await, line.len()).await, line);
            assert_eq!(sink.count(), 1);
            assert_eq!(sink.compare(&["evt_1".to_owned(), "evt_2".to_owned()]), (1, 0));
        }
    }

    #[tokio::test]
    async fn a_receiver_knows_for_how_long_it_was_listened_to() {
        let sink = Sink::start(Manner::Rambling).await.expect("a port is free");
        let mut stream = ask(&sink).await;
        read(&mut stream, 100).await;
        assert_eq!(sink.wait_until_left(Duration::ZERO).await, Duration::ZERO, "it still talks");
        drop(stream);
        assert!(sink.wait_until_left(Duration::from_mins(1)).await > Duration::ZERO);
    }
}
