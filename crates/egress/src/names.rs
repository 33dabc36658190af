//! Room `egress`: TXT records of the domain name system (RFC 1035), for proofs that a domain is
//! somebody's. Asked over TCP (RFC 7766): an answer that somebody off the path invents is not
//! taken, as one over UDP could be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why records could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// It is not a name that the system can hold.
    #[error("not a domain name")]
    BadName,
    /// No server gave an answer.
    #[error("no name server answers")]
    Unanswered,
}

/// Looks up TXT records.
#[async_trait]
pub trait TxtRecords: Send + Sync {
    /// The texts at a name; none if there are none or no such name.
    async fn look_up(&self, name: &str) -> Result<Vec<String>, LookupError>;
}

/// The name servers of the machine, or others that the operator names.
#[derive(Debug, Clone)]
pub struct NameServers {
    servers: Vec<SocketAddr>,
    patience: Duration,
}

const PORT: u16 = 53;
/// Type TXT, class IN, one question, recursion desired.
const TXT: u16 = 16;
const IN: u16 = 1;
const RECURSION: u16 = 0x0100;
/// The reply code of a name that does not exist.
const NO_SUCH_NAME: u8 = 3;

impl NameServers {
    /// These servers, as `ip` or `ip:port`; if there are none, those of `/etc/resolv.conf`.
    pub fn new(configured: &[String], patience: Duration) -> Self {
        let mut servers: Vec<SocketAddr> =
            configured.iter().filter_map(|text| read_server(text)).collect();
        if servers.is_empty() {
            let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            servers = of_resolv_conf(&text);
        }
        Self { servers, patience }
    }

    async fn ask(&self, server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(server).await?;
        let length = u16::try_from(query.len()).unwrap_or(u16::MAX).to_be_bytes();
        stream.write_all(&[&length, query].concat()).await?;
        let mut answer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

/// `ip` or `ip:port`.
pub(crate) fn read_server(text: &str) -> Option<SocketAddr> {
    let bare = text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    bare.or_else(|| text.parse().ok())
}

fn of_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|rest| read_server(rest.trim())).collect()
}

#[async_trait]
impl TxtRecords for NameServers {
    async fn look_up(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let query = query(name).ok_or(LookupError::BadName)?;
        for server in &self.servers {
            let Ok(Ok(answer)) = timeout(self.patience, self.ask(*server, &query)).await else {
                continue;
            };
            if let Some(texts) = read_answer(&answer, &query) {
                return Ok(texts);
            }
        }
        Err(LookupError::Unanswered)
    }
}

/// A question (RFC 1035 section 4.1). The id may be constant: each connection carries one.
fn query(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 18);
    for word in [1, RECURSION, 1, 0, 0, 0] {
        bytes.extend_from_slice(&u16::to_be_bytes(word));
    }
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    for word in [TXT, IN] {
        bytes.extend_from_slice(&u16::to_be_bytes(word));
    }
    (name.is_ascii() && name.len() <= 253).then_some(bytes)
}

/// A place in a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Passes over a name, which ends with a zero or with a pointer (section 4.1.4).
    fn skip_name(&mut self) -> Option<()> {
        loop {
            let length = *self.take(1)?.first()?;
            match length {
                0 => return Some(()),
                1..=63 => drop(self.take(length.into())?),
                192.. => return self.take(1).map(drop),
                _ => return None,
            }
        }
    }
}

/// The texts of an answer to this question; `None` if it is none, or says that it failed.
fn read_answer(answer: &[u8], query: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader { bytes: answer, at: 0 };
    let id = reader.take(2)?;
    let flags = reader.take(2)?;
    let (questions, answers) = (reader.word()?, reader.word()?);
    reader.take(4)?;
    let is_answer = flags[0] & 0x80 != 0 && id == &query[..2] && questions == 1;
    // The question comes back as it was asked, but for the case of its letters.
    let question = reader.take(query.len() - 12)?;
    if !is_answer || !question.eq_ignore_ascii_case(&query[12..]) {
        return None;
    }
    match flags[1] & 0x0f {
        0 => {}
        NO_SUCH_NAME => return Some(Vec::new()),
        _ => return None,
    }
    let mut texts = Vec::new();
    for _ in 0..answers {
        reader.skip_name()?;
        let (kind, class) = (reader.word()?, reader.word()?);
        reader.take(4)?;
        let length = reader.word()?;
        let data = reader.take(length.into())?;
        if (kind, class) == (TXT, IN) {
            texts.push(join(data)?);
        }
    }
    Some(texts)
}

/// A record is one text in parts of at most 255 bytes (section 3.3.14).
fn join(data: &[u8]) -> Option<String> {
    let mut reader = Reader { bytes: data, at: 0 };
    let mut text = Vec::new();
    while reader.at < data.len() {
        let length = *reader.take(1)?.first()?;
        text.extend_from_slice(reader.take(length.into())?);
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests;
