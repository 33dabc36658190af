//! Room `bench`: how a receiver answers, well or badly.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Takes it after so long.
    After(Duration),
    /// Says at once that it has failed.
    Failing,
    /// Answers with a body of 512 MiB.
    Flooding,
    /// Answers with a body of which a byte comes now and then.
    Dripping,
    /// Never ends the headers of its answer.
    Rambling,
}

/// Those who mean no good, all of them.
pub(super) const HOSTILE: [Manner; 4] =
    [Manner::Failing, Manner::Flooding, Manner::Dripping, Manner::Rambling];

const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const FLOOD: u64 = 512 << 20;
const DRIP: Duration = Duration::from_millis(500);

/// Longer than any deadline: whoever still listens then is let go.
const AGES: Duration = Duration::from_mins(3);

impl Manner {
    /// Takes it at once.
    pub(super) const PROMPT: Self = Self::After(Duration::ZERO);

    /// Answers; gives whether the connection can take another request.
    pub(super) async fn answer(self, stream: &mut TcpStream) -> bool {
        let answered = match self {
            Self::After(pause) => {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                return stream.write_all(TAKEN).await.is_ok();
            }
            Self::Failing => return stream.write_all(FAILED).await.is_ok(),
            Self::Flooding => flood(stream).await,
            Self::Dripping => drip(stream).await,
            Self::Rambling => ramble(stream).await,
        };
        // The other side hung up, as it should.
        drop(answered);
        false
    }
}

async fn flood(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {FLOOD}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let part = vec![b'x'; 64 * 1024];
    for _ in 0..FLOOD / part.len() as u64 {
        stream.write_all(&part).await?;
    }
    Ok(())
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n").await?;
    now_and_then(stream, b"x", DRIP).await
}

async fn ramble(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    now_and_then(stream, b"x-more: and more, and more, and more\r\n", DRIP / 50).await
}

async fn now_and_then(stream: &mut TcpStream, part: &[u8], pause: Duration) -> std::io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < AGES {
        stream.write_all(part).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
