//! Room `adapters`: the web chat. Its provider is this program: a visitor's page calls us, and what
//! is stored is sent, because the page fetches it. `webchat/docs.md` ticks off what is done.
//!
//! An account is one site: its external id is the tenant's site id. It needs no credentials; who a
//! visitor is was settled before anything gets here.

mod config;
mod receive;
mod send;
mod wire;

use async_trait::async_trait;
use http::HeaderMap;
use misy_channel::account::{Account, AccountDraft, Health};
use misy_channel::capability::{ButtonLimit, Capability, TextLimit, Unit};
use misy_channel::event::Event;
use misy_channel::front::Said;
use misy_channel::outbound::{Outbound, SendError, Sent};
use misy_channel::{Channel, Front, ReceiveError, Routed, VerifyError};
use misy_core::error::Fault;
use misy_egress::Egress;

/// The adapter. It holds no state beside what it can carry.
pub(crate) struct WebChat {
    capability: Capability,
}

impl WebChat {
    pub(crate) fn new() -> Self {
        Self { capability: capability() }
    }
}

/// The limits are our own page's: what it shows without scrolling sideways, and what a person can
/// still take in.
fn capability() -> Capability {
    Capability {
        text: TextLimit { max: 4_000, unit: Unit::Chars },
        caption_max: None,
        buttons: Some(ButtonLimit {
            text_max: 4_000,
            header_max: 60,
            footer_max: 60,
            max: 10,
            title_max: 40,
            id_max: 200,
        }),
        list: None,
        carousel_cards_max: None,
        media: Vec::new(),
        location: false,
        contact: false,
        template: false,
        reaction: false,
        reply: false,
        typing: false,
        delivered: true,
        read: true,
        window_hours: None,
    }
}

#[async_trait]
impl Channel for WebChat {
    fn kind(&self) -> &'static str {
        "webchat"
    }

    fn front(&self) -> Option<&dyn Front> {
        Some(self)
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn check_draft(&self, draft: &AccountDraft) -> Result<(), Vec<Fault>> {
        config::check(draft)
    }

    fn handshake_token(&self, _: &str) -> Option<String> {
        None
    }

    fn handshake(&self, _: &Account, _: &str) -> Result<String, VerifyError> {
        Err(VerifyError::Missing)
    }

    fn verify(&self, _: &Account, _: &HeaderMap, _: &[u8]) -> Result<(), VerifyError> {
        Err(VerifyError::Mismatch)
    }

    fn route(&self, raw: &[u8]) -> Result<Vec<Routed>, ReceiveError> {
        let external_id = wire::read(raw)?.site;
        Ok(vec![Routed { external_id, raw: raw.to_vec() }])
    }

    fn receive(&self, raw: &[u8]) -> Result<Vec<Event>, ReceiveError> {
        receive::receive(raw)
    }

    async fn send(&self, _: &Egress, _: &Account, message: &Outbound) -> Result<Sent, SendError> {
        send::send(message, &self.capability)
    }

    /// The page shows its own messages as it likes; there is nobody to tell.
    async fn mark_read(&self, _: &Egress, _: &Account, _: &str, _: bool) -> Result<(), SendError> {
        Ok(())
    }

    /// It works if this program does, and this program is what is asked.
    async fn check_health(&self, _: &Egress, account: &Account) -> Result<Health, SendError> {
        let display_name = account.setting(config::TITLE).map(str::to_owned);
        Ok(Health { ok: true, display_name, address: None, detail: None })
    }
}

impl Front for WebChat {
    fn write(&self, said: Said<'_>) -> Vec<u8> {
        wire::write(said)
    }
}
