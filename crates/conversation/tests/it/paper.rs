//! Room `conversation`: a channel whose payloads tests write and whose provider does as it is told.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use http::HeaderMap;
use misy_channel::capability::{TextLimit, Unit};
use misy_channel::event::{EchoMessage, Kind, PHONE, Sender, Status};
use misy_channel::{
    Account, AccountDraft, Capability, Channel, Content, Egress, Event, Failure, FailureKind,
    Health, IdentityClaim, InboundMessage, Outbound, ReceiveError, Routed, SendError, Sent,
    StatusUpdate, VerifyError,
};
use misy_core::Personal;
use misy_core::error::Fault;
use serde_json::Value;

/// A namespace beside the phone number.
pub(crate) const PAPER_USER: &str = "paper_user";

/// What the provider does with the next message.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Takes it and answers.
    Take,
    /// Takes it and answers with this id.
    TakeAs(&'static str),
    /// Takes it, and the answer never comes.
    TakeAndHang,
    /// Loses it, and no answer ever comes.
    LoseAndHang,
    /// Answers with a failure.
    Fail(SendError),
    /// Takes it, and the answer is lost on the way.
    TakeAndLoseAnswer,
}

impl Act {
    /// A failure of a kind.
    pub(crate) fn fail(kind: FailureKind) -> Self {
        Self::Fail(SendError::new(kind, "131", "as the test wants it"))
    }
}

/// The channel and its provider.
pub(crate) struct Paper {
    capability: Capability,
    script: Mutex<VecDeque<Act>>,
    taken: Mutex<Vec<Outbound>>,
    asked: Mutex<usize>,
    marked: Mutex<Vec<(String, bool)>>,
}

impl Paper {
    /// A channel with a window of 24 hours and short texts.
    pub(crate) fn new() -> Self {
        let text = TextLimit { max: 200, unit: Unit::Chars };
        let capability = Capability {
            text,
            caption_max: None,
            buttons: None,
            list: None,
            carousel_cards_max: None,
            media: Vec::new(),
            location: false,
            contact: false,
            template: true,
            reaction: true,
            reply: true,
            typing: true,
            delivered: true,
            read: true,
            window_hours: Some(24),
        };
        Self {
            capability,
            script: Mutex::default(),
            taken: Mutex::default(),
            asked: Mutex::default(),
            marked: Mutex::default(),
        }
    }

    /// Says what the provider does with the next messages; after that it takes them.
    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().expect("no test panics with it").extend(acts);
    }

    /// The provider takes whatever comes from now on.
    pub(crate) fn forget_script(&self) {
        self.script.lock().expect("no test panics with it").clear();
    }

    /// The messages that the provider took, in their order.
    pub(crate) fn taken(&self) -> Vec<Outbound> {
        self.taken.lock().expect("no test panics with it").clone()
    }

    /// Their texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |one: &Outbound| one.content.words().unwrap_or_default().to_owned();
        self.taken().iter().map(text).collect()
    }

    /// How often the provider was asked to take a message.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().expect("no test panics with it")
    }

    /// Messages of customers that were marked as read, and whether typing was shown.
    pub(crate) fn marked(&self) -> Vec<(String, bool)> {
        self.marked.lock().expect("no test panics with it").clone()
    }

    fn take(&self, message: &Outbound) -> Sent {
        let mut taken = self.taken.lock().expect("no test panics with it");
        taken.push(message.clone());
        Sent { external_id: format!("out-{}", message.id) }
    }
}

#[async_trait]
impl Channel for Paper {
    fn kind(&self) -> &'static str {
        "paper"
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn check_draft(&self, _: &AccountDraft) -> Result<(), Vec<Fault>> {
        Ok(())
    }

    fn handshake_token(&self, query: &str) -> Option<String> {
        query.strip_prefix("token=").map(str::to_owned)
    }

    fn handshake(&self, _: &Account, query: &str) -> Result<String, VerifyError> {
        Ok(query.to_owned())
    }

    fn verify(&self, account: &Account, headers: &HeaderMap, _: &[u8]) -> Result<(), VerifyError> {
        let given = headers.get("x-paper-stamp").ok_or(VerifyError::Missing)?;
        let stamp = account.credentials.find("stamp").ok_or(VerifyError::Missing)?;
        if given.as_bytes() == stamp.expose().as_bytes() {
            Ok(())
        } else {
            Err(VerifyError::Mismatch)
        }
    }

    fn route(&self, raw: &[u8]) -> Result<Vec<Routed>, ReceiveError> {
        let json = parse(raw)?;
        let external_id = json["to"].as_str().unwrap_or_default().to_owned();
        Ok(vec![Routed { external_id, raw: raw.to_vec() }])
    }

    fn receive(&self, raw: &[u8]) -> Result<Vec<Event>, ReceiveError> {
        let json = parse(raw)?;
        let events = json["events"].as_array().cloned().unwrap_or_default();
        Ok(events.iter().map(event).collect())
    }

    async fn send(&self, _: &Egress, _: &Account, message: &Outbound) -> Result<Sent, SendError> {
        *self.asked.lock().expect("no test panics with it") += 1;
        let act = self.script.lock().expect("no test panics with it").pop_front();
        match act.unwrap_or(Act::Take) {
            Act::Take => Ok(self.take(message)),
            Act::TakeAs(id) => {
                self.take(message);
                Ok(Sent { external_id: id.to_owned() })
            }
            Act::TakeAndHang => {
                self.take(message);
                std::future::pending().await
            }
            Act::LoseAndHang => std::future::pending().await,
            Act::Fail(error) => Err(error),
            Act::TakeAndLoseAnswer => {
                self.take(message);
                Err(SendError::new(FailureKind::UnknownOutcome, "timeout", "no answer came"))
            }
        }
    }

    async fn mark_read(
        &self,
        _: &Egress,
        _: &Account,
        external_id: &str,
        typing: bool,
    ) -> Result<(), SendError> {
        let mut marked = self.marked.lock().expect("no test panics with it");
        marked.push((external_id.to_owned(), typing));
        Ok(())
    }

    async fn check_health(&self, _: &Egress, _: &Account) -> Result<Health, SendError> {
        Ok(Health { ok: true, display_name: None, address: None, detail: None })
    }
}

fn parse(raw: &[u8]) -> Result<Value, ReceiveError> {
    serde_json::from_slice(raw).map_err(|error| ReceiveError(error.to_string()))
}

fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_default().to_owned()
}

fn event(json: &Value) -> Event {
    let at = json["at"].as_str().and_then(|text| text.parse().ok());
    Event { at, kind: kind(json) }
}

fn kind(json: &Value) -> Kind {
    let external_id = text(json, "id");
    match json["kind"].as_str().unwrap_or_default() {
        "message" => Kind::Message(InboundMessage {
            external_id,
            from: sender(json),
            content: content(json),
            reply_to: json["reply_to"].as_str().map(str::to_owned),
            extra: json["extra"].as_object().cloned().unwrap_or_default(),
        }),
        "echo" => Kind::Echo(EchoMessage { external_id, to: sender(json), content: content(json) }),
        "status" => Kind::Status(StatusUpdate {
            external_id,
            correlation: json["ours"].as_str().map(str::to_owned),
            status: Status::parse(&text(json, "status")).expect("a test names a status"),
            recipient: Vec::new(),
            failure: json["failure"].as_str().map(|code| Failure {
                kind: FailureKind::WindowClosed,
                code: code.to_owned(),
                detail: "as the test wants it".to_owned(),
            }),
            extra: json["extra"].as_object().cloned().unwrap_or_default(),
        }),
        "edit" => Kind::Edit {
            from: sender(json),
            external_message_id: external_id,
            content: content(json),
        },
        "revoke" => Kind::Revoke { from: sender(json), external_message_id: external_id },
        "moved" => Kind::IdentityChanged {
            old: claims(&json["from"]).remove(0),
            new: claims(&json["new"]),
        },
        other => Kind::Unknown { name: other.to_owned(), raw: json.clone() },
    }
}

fn content(json: &Value) -> Content {
    match json.get("content") {
        Some(content) => serde_json::from_value(content.clone()).expect("a test writes content"),
        None => Content::text(text(json, "text")),
    }
}

fn sender(json: &Value) -> Sender {
    Sender {
        identities: claims(&json["from"]),
        display_name: json["name"].as_str().map(|name| Personal(name.to_owned())),
    }
}

/// A text is a phone number if it begins with a plus sign, else a user of the provider.
fn claims(json: &Value) -> Vec<IdentityClaim> {
    let texts: Vec<&Value> = json.as_array().map_or_else(|| vec![json], |all| all.iter().collect());
    let claim = |value: &str| IdentityClaim {
        namespace: if value.starts_with('+') { PHONE } else { PAPER_USER },
        value: Personal(value.to_owned()),
    };
    texts.into_iter().filter_map(Value::as_str).map(claim).collect()
}
