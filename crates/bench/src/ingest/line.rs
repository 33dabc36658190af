//! Room `bench`: a kept-alive connection that sends finished requests and looks at nothing of an
//! answer but its status and where it ends.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// One connection.
pub(super) struct Line {
    stream: TcpStream,
    received: BytesMut,
}

/// The start of an answer.
struct Head {
    status: u16,
    /// Bytes of the head and of the body behind it.
    len: usize,
}

impl Line {
    /// Connects to `host:port`.
    pub(super) async fn open(host: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: BytesMut::with_capacity(4_096) })
    }

    /// Sends a request and reads its answer to the end; gives the status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<u16, Failure> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(head) = head(&self.received)?
                && self.received.len() >= head.len
            {
                self.received.advance(head.len);
                return Ok(head.status);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the program hung up".into());
            }
        }
    }
}

/// Reads the head of an answer, if it has come as a whole.
fn head(received: &[u8]) -> Result<Option<Head>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = answer.parse(received)? else { return Ok(None) };
    let status = answer.code.ok_or("an answer without a status")?;
    let length = answer.headers.iter().find(|one| one.name.eq_ignore_ascii_case("content-length"));
    let length = length.ok_or("an answer of unknown length")?;
    let body: usize = std::str::from_utf8(length.value)?.parse()?;
    Ok(Some(Head { status, len: end + body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_behind_its_body() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
        let found = head(whole).expect("an answer").expect("a whole head");
        assert_eq!((found.status, found.len), (503, whole.len()));
        assert!(head(&whole[..40]).expect("so far an answer").is_none());
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "nobody knows where that ends");
        assert!(head(b"SSH-2.0\r\n\r\n").is_err());
    }
}
