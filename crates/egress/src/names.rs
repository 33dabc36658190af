//! Room `egress`: TXT records of the domain name system (RFC 1035), for proofs that a domain is
//! somebody's. Asked over TCP (RFC 7766): an answer that somebody off the path invents is not
//! taken, as one over UDP could be.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
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
        let question = question(name).ok_or(LookupError::BadName)?;
        let query = question.to_vec().map_err(|_| LookupError::BadName)?;
        for server in &self.servers {
            let Ok(Ok(answer)) = timeout(self.patience, self.ask(*server, &query)).await else {
                continue;
            };
            if let Some(texts) = read_answer(&answer, &question) {
                return Ok(texts);
            }
        }
        Err(LookupError::Unanswered)
    }
}

/// A question. The id may be constant: each connection carries one. `None` if it is no name: the
/// root is none either, and what is escaped or not ASCII was not written by us.
fn question(name: &str) -> Option<Message> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let plain = !name.is_empty() && name.bytes().all(is_plain);
    let mut name = Name::from_ascii(name).ok().filter(|name| plain && !name.is_root())?;
    name.set_fqdn(true);
    let mut question = Message::new(1, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, RecordType::TXT));
    Some(question)
}

/// The texts of an answer to this question; `None` if it is none, or says that it failed.
fn read_answer(answer: &[u8], question: &Message) -> Option<Vec<String>> {
    let answer = Message::from_vec(answer).ok()?;
    let said = answer.metadata;
    let is_answer = said.message_type == MessageType::Response
        && said.id == question.metadata.id
        && answer.queries == question.queries;
    match said.response_code {
        ResponseCode::NoError if is_answer => {}
        ResponseCode::NXDomain if is_answer => return Some(Vec::new()),
        _ => return None,
    }
    let texts = answer.answers.iter().filter_map(|record| match &record.data {
        // A record is one text in parts of at most 255 bytes (section 3.3.14).
        RData::TXT(txt) if record.dns_class == DNSClass::IN => Some(txt.txt_data.concat()),
        _ => None,
    });
    Some(texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
}

#[cfg(test)]
mod tests;
