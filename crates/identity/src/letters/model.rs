//! Room `identity`: what is written to whom, and links that work once.
//!
//! A link's secret is a MAC under a key of the installation over what the letter is and a nonce of
//! its row. So no table, queue or log holds it, it can be sent again after a failed attempt, and a
//! new nonce makes every earlier link void.

pub(crate) mod news;

use misy_core::crypto::{self, Key};
use misy_core::mail::From;
use misy_core::{Code, Mail, Personal, Public, Secret, TenantId, Timestamp, UserId};
use serde_json::Value;
use uuid::Uuid;

use crate::config::Links;

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Come into a tenant and set a password.
    Invitation,
    /// Set another password in place of a forgotten one.
    Recovery,
    /// Show that the address is yours.
    Verification,
    /// A note: the password was changed.
    PasswordChanged,
    /// A note: a second factor was added.
    FactorAdded,
    /// A note: the second factor was removed.
    FactorRemoved,
    /// A note: a recovery code was used.
    RecoveryCodeUsed,
    /// A note to those who run the tenant: an endpoint of webhooks was switched off.
    EndpointDisabled,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Invitation,
        Self::Recovery,
        Self::Verification,
        Self::PasswordChanged,
        Self::FactorAdded,
        Self::FactorRemoved,
        Self::RecoveryCodeUsed,
        Self::EndpointDisabled,
    ];

    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Recovery => "recovery",
            Self::Verification => "verification",
            Self::PasswordChanged => "password_changed",
            Self::FactorAdded => "factor_added",
            Self::FactorRemoved => "factor_removed",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::EndpointDisabled => "endpoint_disabled",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.slug() == slug)
    }

    /// How long its link works, in seconds; a note that could not be sent for a day is no news.
    pub(crate) fn lasts_s(self, links: &Links) -> u32 {
        match self {
            Self::Invitation => links.invitation_s,
            Self::Recovery => links.recovery_s,
            Self::Verification => links.verification_s,
            _ => 24 * 3_600,
        }
    }
}

/// A letter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    /// The tenant it is about; `None` for the platform.
    pub(crate) tenant: Option<TenantId>,
    /// To whom; `None` if an address was given that nobody has.
    pub(crate) account: Option<Uuid>,
    /// The person who is invited.
    pub(crate) user: Option<UserId>,
    /// Makes its link.
    pub(crate) nonce: Vec<u8>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// What a note is about, if its kind does not say all.
    pub(crate) detail: Option<Value>,
}

/// A letter with what is needed to send it or to believe its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) letter: Letter,
    /// The receiver's address.
    pub(crate) email: Option<Personal<String>>,
    /// The tenant's name at sign-in.
    pub(crate) slug: Option<String>,
    /// How its tenant looks.
    pub(crate) look: Look,
    /// Whether its link was used.
    pub(crate) used: bool,
}

/// How a tenant looks in mails: what it says of itself, as far as it has shown that it may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) name: Option<String>,
    pub(crate) from: From,
    /// Where links lead.
    pub(crate) app_url: Option<String>,
}

impl Look {
    /// From a tenant's brand and the domains that it has shown to be its own: an address or a page
    /// of any other is left out, and the installation's own is used.
    pub(crate) fn of(brand: &Value, domains: &[String]) -> Self {
        let text = |name: &str| brand[name].as_str().map(str::to_owned);
        let is_own = |host: &str| {
            let host = host.to_ascii_lowercase();
            domains.iter().any(|domain| {
                host.strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        let name = text("name");
        let address = text("mail_sender_address")
            .filter(|address| address.rsplit_once('@').is_some_and(|(_, host)| is_own(host)));
        let app_url = text("app_url").filter(|url| host_of(url).is_some_and(is_own));
        let from = From { name: text("mail_sender_name").or_else(|| name.clone()), address };
        Self { name, from, app_url }
    }
}

/// The host of an `https` address that names no user.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    (!authority.contains(['@', '\\'])).then_some(host)
}

impl Found {
    /// Whether its link works at this time.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        !self.used && now < self.letter.expires_at
    }
}

/// A link that does not work; why, is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link is not valid")]
pub struct Error;

impl Public for Error {
    fn code(&self) -> Code {
        Code::InvalidLink
    }
}

const PREFIX: &str = "mbl_";
const MAC_BYTES: usize = 32;

/// The secret text of a letter's link.
pub(crate) fn link(key: &Key, letter: &Letter) -> Secret {
    let mut bytes = letter.id.into_bytes().to_vec();
    bytes.extend_from_slice(&mac(key, letter));
    Secret::new(format!("{PREFIX}{}", crypto::to_base64url(&bytes)))
}

fn mac(key: &Key, letter: &Letter) -> [u8; MAC_BYTES] {
    // Of one length but the last, so that no two letters give the same bytes.
    let parts = [letter.id.as_bytes().as_slice(), &letter.nonce, letter.kind.slug().as_bytes()];
    crypto::hmac_sha256(key.expose(), &parts.concat())
}

/// What a link says, before anything of it is believed.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) letter: Uuid,
    mac: [u8; MAC_BYTES],
}

impl Link {
    /// Reads a link's text. `None` if it is none of ours.
    pub(crate) fn read(text: &Secret) -> Option<Self> {
        let bytes = crypto::from_base64url(text.expose().strip_prefix(PREFIX)?)?;
        let (id, mac) = bytes.split_first_chunk::<16>()?;
        Some(Self { letter: Uuid::from_bytes(*id), mac: mac.try_into().ok()? })
    }

    /// Whether it is the link of this letter.
    pub(crate) fn is_of(&self, key: &Key, letter: &Letter) -> bool {
        self.letter == letter.id && crypto::equal(&self.mac, &mac(key, letter))
    }
}

/// Where a link leads and what it is called for whoever has no page for it yet.
fn call_to(links: &Links, public_url: &str, place: &str, endpoint: &str, link: &Secret) -> String {
    let link = link.expose();
    // Behind `#`, a browser sends it to no server and into no log.
    let page = links.app_url.as_deref().map(|app| {
        format!("Open this page:\n\n  {}/{place}#token={link}\n\n", app.trim_end_matches('/'))
    });
    format!(
        "{}Programs post this to {public_url}{endpoint}, as `token`:\n\n  {link}\n",
        page.unwrap_or_default()
    )
}

/// Writes the mail of a letter. `None` if nobody has the address.
pub(crate) fn compose(
    found: &Found,
    key: &Key,
    links: &Links,
    public_url: &str,
    now: Timestamp,
) -> Option<Mail> {
    let to = found.email.clone()?;
    let house = found.look.name.as_deref().or(found.slug.as_deref()).unwrap_or("MisyBot");
    let links = &Links {
        app_url: found.look.app_url.clone().or_else(|| links.app_url.clone()),
        ..links.clone()
    };
    let link = link(key, &found.letter);
    let call = |place: &str, endpoint: &str| call_to(links, public_url, place, endpoint, &link);
    let until = format!(
        "It works once, until {}. If you did not expect this mail, leave it alone.\n",
        found.letter.expires_at.strftime("%F %R UTC")
    );
    let not_you = "If it was not you, recover your password and tell an administrator.\n";
    let (subject, text) = match found.letter.kind {
        Kind::Invitation => (
            format!("You are invited to {house}"),
            format!(
                "You are invited to {house}. Choose a password to come in.\n\n{}\n{until}",
                call("invitation", "/v1/auth/invitation")
            ),
        ),
        Kind::Recovery => (
            "Choose another password".to_owned(),
            format!(
                "Somebody, perhaps you, asked to replace the password of this address.\n\n{}\n\
                 {until}",
                call("recovery", "/v1/auth/recovery/complete")
            ),
        ),
        Kind::Verification => (
            "Confirm your address".to_owned(),
            format!(
                "Confirm that this address is yours, for {house}.\n\n{}\n{until}",
                call("verification", "/v1/auth/verification/complete")
            ),
        ),
        Kind::PasswordChanged => note(house, "password was changed", not_you),
        Kind::FactorAdded => note(house, "second factor was set up", not_you),
        Kind::FactorRemoved => note(house, "second factor was removed", not_you),
        Kind::RecoveryCodeUsed => note(house, "recovery code was used to sign in", not_you),
        Kind::EndpointDisabled => {
            news::compose(house, public_url, found.letter.detail.as_ref().unwrap_or_default())?
        }
    };
    let from = found.look.from.clone();
    let Letter { id, tenant, .. } = found.letter;
    Some(Mail { id, tenant, to, from, subject, text: Secret::new(text), written_at: now })
}

fn note(house: &str, what: &str, then: &str) -> (String, String) {
    (format!("Your {what}"), format!("Your {what} at {house}. {then}"))
}

#[cfg(test)]
mod tests;
