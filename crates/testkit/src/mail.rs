//! Room `testkit`: where mails end in tests: in memory, or at a server that really speaks SMTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use misy_core::mail::Sending;
use misy_core::{Mail, MailError, Mailer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Keeps mails in memory; refuses them while it is told to.
#[derive(Debug, Default)]
pub struct Mailbox {
    taken: Mutex<Vec<Mail>>,
    away: Mutex<bool>,
}

impl Mailbox {
    /// Every mail so far, oldest first.
    pub fn taken(&self) -> Vec<Mail> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes nothing from now on, or again.
    pub fn set_away(&self, away: bool) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = away;
    }

    /// The secret of the link in the newest mail to this address.
    pub fn link_to(&self, address: &str) -> Option<String> {
        let taken = self.taken();
        let mail = taken.iter().rev().find(|mail| mail.to.0 == address)?;
        let text = mail.text.expose();
        let start = text.rfind("mbl_")?;
        let end = text[start..].find(char::is_whitespace).map_or(text.len(), |at| start + at);
        Some(text[start..end].to_owned())
    }
}

impl Mailer for Mailbox {
    fn send<'a>(&'a self, mail: &'a Mail) -> Sending<'a> {
        Box::pin(async move {
            if *self.away.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(MailError::Unavailable("away".to_owned()));
            }
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(mail.clone());
            Ok(())
        })
    }
}

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes every mail.
    Takes,
    /// Takes mails of `bot` with the password `hunter2`.
    AsksWho,
    /// Knows no receiver.
    Refuses,
    /// Has no time now.
    Defers,
    /// Ends the connection before the mail is said.
    HangsUp,
}

/// A mail as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// `MAIL FROM`.
    pub from: String,
    /// Every `RCPT TO`.
    pub to: Vec<String>,
    /// Header and body, the dots unstuffed.
    pub text: String,
}

/// A server on the loopback that speaks as much SMTP as a client needs.
#[derive(Debug)]
pub struct SmtpSink {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    serving: JoinHandle<()>,
}

impl SmtpSink {
    /// Serves until it is stopped or dropped.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&taken);
        #[expect(clippy::disallowed_methods, reason = "a server of a test is nobody's job")]
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away in the middle is its own business.
                let _ = talk(stream, manner, &into).await;
            }
        });
        Self { address, taken, serving }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every mail so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets nobody in any more.
    pub async fn stop(mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// `AUTH PLAIN` of `\0bot\0hunter2`, in base64 (RFC 4616).
const WHO: &str = "AUTH PLAIN AGJvdABodW50ZXIy";

/// What is answered to a line; `None` ends the connection.
fn answer(manner: Manner, known: &mut bool, line: &str) -> Option<&'static str> {
    let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
    Some(match (verb.as_str(), manner) {
        ("EHLO" | "HELO", Manner::AsksWho) => "250-sink\r\n250 AUTH PLAIN",
        ("EHLO" | "HELO", _) => "250-sink\r\n250 8BITMIME",
        ("AUTH", _) => {
            *known = line == WHO;
            if *known { "235 welcome" } else { "535 who are you" }
        }
        ("MAIL", Manner::AsksWho) if !*known => "530 say who you are",
        ("RCPT", Manner::Refuses) => "550 <ana@acme.example> is nobody here",
        ("MAIL", Manner::Defers) => "451 later",
        ("DATA", Manner::HangsUp) => return None,
        ("DATA", _) => "354 go on",
        ("QUIT", _) => "221 bye",
        ("MAIL" | "RCPT" | "RSET" | "NOOP", _) => "250 ok",
        _ => "500 what",
    })
}

async fn talk(stream: TcpStream, manner: Manner, taken: &Mutex<Vec<Taken>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut known = false;
    let mut mail = Taken { from: String::new(), to: Vec::new(), text: String::new() };
    write.write_all(b"220 sink ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let Some(said) = answer(manner, &mut known, &line) else { return Ok(()) };
        write.write_all(format!("{said}\r\n").as_bytes()).await?;
        let (verb, rest) = line.split_once(':').unwrap_or((&line, ""));
        let path = rest.split(' ').next().unwrap_or_default().to_owned();
        match verb.to_ascii_uppercase().as_str() {
            "MAIL FROM" => mail.from = path,
            "RCPT TO" => mail.to.push(path),
            "DATA" => {
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    mail.text.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.text.push_str("\r\n");
                }
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(mail.clone());
                write.write_all(b"250 taken\r\n").await?;
            }
            "QUIT" => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}
