//! Room `channel`: the contract between conversations and the providers that carry them. The
//! [`Channel`] trait, what each can do ([`Capability`]), the unified message, the events that come
//! in, the errors of a send, and the conformance suite that every adapter passes.
//!
//! Never: SQL, a provider's name, a loop that waits.

pub mod account;
pub mod capability;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod content;
pub mod event;
pub mod fit;
pub mod front;
pub mod outbound;
pub mod transcode;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use misy_core::error::Fault;
/// The way out, as an adapter is handed it, and where it begins.
pub use misy_egress::{Egress, Gateway};
use serde_json::{Map, Value};

pub use account::{Account, AccountDraft, Health};
pub use capability::Capability;
pub use content::Content;
pub use event::{Event, IdentityClaim, InboundMessage, StatusUpdate};
pub use front::Front;
pub use outbound::{Failure, FailureKind, Outbound, Recipient, SendError, Sent};
pub use transcode::transcode;

/// A hook's payload cannot be trusted, or not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature or token is absent or of the wrong form.
    #[error("the signature is missing or malformed")]
    Missing,
    /// It does not match the account's secret.
    #[error("the signature does not match")]
    Mismatch,
}

/// A payload is not one of this provider's at all: not its JSON, or not its outermost shape. What
/// is merely unknown inside a payload becomes [`event::Kind::Unknown`] instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload cannot be read: {0}")]
pub struct ReceiveError(pub String);

/// The part of a hook's payload that concerns one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The account's id at the provider, or another id that the adapter documents as routing to it
    /// (for example the id of the business above it, for notices that name no account).
    pub external_id: String,
    /// The bytes to store: the payload exactly as it came where it concerns this account alone,
    /// else a copy without the parts of other accounts, so that no tenant ever holds another's
    /// data.
    pub raw: Vec<u8>,
}

/// A provider, as far as this program is concerned. Everything but the sending half is pure.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Its name on the wire, in lower case.
    fn kind(&self) -> &'static str;

    /// The name of the one hook that serves all accounts of the provider's app, if there is one; a
    /// payload is asked for its accounts by [`Channel::route`]. Several channels may share a name.
    fn shared_hook(&self) -> Option<&'static str> {
        None
    }

    /// Other ids by which this provider's payloads may name an account with these settings, beside
    /// its external id; several accounts of a tenant may share one.
    fn more_routes(&self, settings: &Map<String, Value>) -> Vec<String> {
        let _ = settings;
        Vec::new()
    }

    /// The half that stands in for a provider, if there is none: an account of such a channel has
    /// the tenant's site id as its external id, is open to the pages that the tenant allows, and
    /// costs nobody anything.
    fn front(&self) -> Option<&dyn Front> {
        None
    }

    /// What it can carry.
    fn capability(&self) -> &Capability;

    /// Checks what an administrator entered for a new or changed account; every fault at once.
    fn check_draft(&self, draft: &AccountDraft) -> Result<(), Vec<Fault>>;

    /// The token an account's provider will present in its handshake, if this provider has one; the
    /// router looks accounts up by it where one URL serves them all.
    fn handshake_token(&self, query: &str) -> Option<String>;

    /// Answers the provider's handshake for a hook's URL with the body to send back.
    fn handshake(&self, account: &Account, query: &str) -> Result<String, VerifyError>;

    /// Whether the raw bytes were signed with the account's secret; compared in constant time.
    fn verify(&self, account: &Account, headers: &HeaderMap, raw: &[u8])
    -> Result<(), VerifyError>;

    /// Which accounts a payload concerns, before anything of it is trusted or stored. An external
    /// id that no account has is answered like one that has: stored nowhere, counted, acknowledged.
    fn route(&self, raw: &[u8]) -> Result<Vec<Routed>, ReceiveError>;

    /// All events of a stored payload, in its order; none is ever dropped. Pure: the same bytes
    /// give the same events, which is what makes replay possible.
    fn receive(&self, raw: &[u8]) -> Result<Vec<Event>, ReceiveError>;

    /// Sends one message, once, in a form that [`transcode()`] made; anything else is a
    /// [`FailureKind::Payload`] before it leaves. Never retries: the answer says what to do.
    async fn send(
        &self,
        io: &Egress,
        account: &Account,
        message: &Outbound,
    ) -> Result<Sent, SendError>;

    /// Tells the customer that the message was read and, if asked, that an answer is being typed.
    async fn mark_read(
        &self,
        io: &Egress,
        account: &Account,
        external_id: &str,
        typing: bool,
    ) -> Result<(), SendError>;

    /// Asks the provider whether the account's credentials work.
    async fn check_health(&self, io: &Egress, account: &Account) -> Result<Health, SendError>;
}

/// The channels that this program was built with, by kind.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn Channel>>);

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a channel under its own kind.
    #[must_use]
    pub fn with(mut self, channel: Arc<dyn Channel>) -> Self {
        self.0.insert(channel.kind(), channel);
        self
    }

    /// The channel of a kind.
    pub fn find(&self, kind: &str) -> Option<&Arc<dyn Channel>> {
        self.0.get(kind)
    }

    /// Every channel, in the order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Channel>> {
        self.0.values()
    }
}
