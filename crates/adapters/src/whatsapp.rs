//! Room `adapters`: the WhatsApp Cloud API. What it can carry is in [`capability`], everything else
//! in the folder beside; `whatsapp/docs.md` ticks off what is done.
//!
//! An account is one phone number: its external id is the phone-number id. Notices that name no
//! phone number (templates, account) route by the id of the business account, which an account may
//! have in `settings.waba_id`.

mod config;
mod errors;
mod media;
mod receive;
mod route;
mod send;
mod wire;

use async_trait::async_trait;
use http::HeaderMap;
use misy_channel::account::{Account, AccountDraft, Health};
use misy_channel::capability::{ButtonLimit, Capability, ListLimit, MediaLimit, TextLimit, Unit};
use misy_channel::content::MediaKind;
use misy_channel::event::Event;
use misy_channel::outbound::{Outbound, SendError, Sent};
use misy_channel::{Channel, ReceiveError, Routed, VerifyError};
use misy_core::error::Fault;
use misy_egress::Egress;
use serde_json::{Map, Value};

use crate::meta::{self, signature};

/// The namespace of business-scoped user ids (BSUID): one person, as one business portfolio sees
/// it.
pub(crate) const USER_ID: &str = "whatsapp_user_id";

const MIB: u64 = 1024 * 1024;
const KIB: u64 = 1024;

/// The adapter. It holds no state beside what it can carry.
pub(crate) struct WhatsApp {
    capability: Capability,
}

impl WhatsApp {
    pub(crate) fn new() -> Self {
        Self { capability: capability() }
    }
}

/// Meta's limits, as of v25.0 (<https://developers.facebook.com/docs/whatsapp/cloud-api/messages>).
fn capability() -> Capability {
    Capability {
        text: TextLimit { max: 4096, unit: Unit::Chars },
        caption_max: Some(1024),
        buttons: Some(ButtonLimit {
            text_max: 1024,
            header_max: 60,
            footer_max: 60,
            max: 3,
            title_max: 20,
            id_max: 256,
        }),
        list: Some(ListLimit {
            text_max: 1024,
            rows_max: 10,
            sections_max: 10,
            row_title_max: 24,
            row_id_max: 200,
            row_description_max: 72,
            section_title_max: 24,
            button_max: 20,
        }),
        // Carousels exist, but each card must have a picture and the same buttons; until the
        // message model can promise that, cards go one by one.
        carousel_cards_max: None,
        media: media_limits(),
        location: true,
        contact: true,
        template: true,
        reaction: true,
        reply: true,
        typing: true,
        delivered: true,
        read: true,
        window_hours: Some(24),
    }
}

fn media_limits() -> Vec<MediaLimit> {
    let limit = |kind, caption, max_bytes, mime| MediaLimit { kind, caption, max_bytes, mime };
    vec![
        limit(MediaKind::Image, true, 5 * MIB, &["image/jpeg", "image/png"]),
        limit(MediaKind::Video, true, 16 * MIB, &["video/mp4", "video/3gpp"]),
        limit(
            MediaKind::Audio,
            false,
            16 * MIB,
            &["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg; codecs=opus"],
        ),
        limit(
            MediaKind::Document,
            true,
            100 * MIB,
            &[
                "text/plain",
                "application/pdf",
                "application/msword",
                "application/vnd.ms-excel",
                "application/vnd.ms-powerpoint",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            ],
        ),
        limit(MediaKind::Sticker, false, 500 * KIB, &["image/webp"]),
    ]
}

#[async_trait]
impl Channel for WhatsApp {
    fn kind(&self) -> &'static str {
        "whatsapp"
    }

    fn shared_hook(&self) -> Option<&'static str> {
        Some(meta::HOOK)
    }

    fn more_routes(&self, settings: &Map<String, Value>) -> Vec<String> {
        config::waba_id(settings).into_iter().collect()
    }

    fn capability(&self) -> &Capability {
        &self.capability
    }

    fn check_draft(&self, draft: &AccountDraft) -> Result<(), Vec<Fault>> {
        config::check(draft)
    }

    fn handshake_token(&self, query: &str) -> Option<String> {
        signature::handshake_token(query)
    }

    fn handshake(&self, account: &Account, query: &str) -> Result<String, VerifyError> {
        let token = account.credentials.find("verify_token").ok_or(VerifyError::Mismatch)?;
        signature::handshake(token, query)
    }

    fn verify(
        &self,
        account: &Account,
        headers: &HeaderMap,
        raw: &[u8],
    ) -> Result<(), VerifyError> {
        let secret = account.credentials.find("app_secret").ok_or(VerifyError::Mismatch)?;
        signature::verify(secret, headers, raw)
    }

    fn route(&self, raw: &[u8]) -> Result<Vec<Routed>, ReceiveError> {
        route::route(raw)
    }

    fn receive(&self, raw: &[u8]) -> Result<Vec<Event>, ReceiveError> {
        receive::receive(raw)
    }

    async fn send(
        &self,
        io: &Egress,
        account: &Account,
        message: &Outbound,
    ) -> Result<Sent, SendError> {
        send::send(io, account, message, &self.capability).await
    }

    async fn mark_read(
        &self,
        io: &Egress,
        account: &Account,
        external_id: &str,
        typing: bool,
    ) -> Result<(), SendError> {
        send::mark_read(io, account, external_id, typing).await
    }

    async fn check_health(&self, io: &Egress, account: &Account) -> Result<Health, SendError> {
        send::check_health(io, account).await
    }
}
