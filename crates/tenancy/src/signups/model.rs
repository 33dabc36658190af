//! Room `tenancy`: what a sign-up is, the links in its letters, and what an operator may set.
//!
//! A link's secret is a MAC under a key of the installation over the sign-up and a nonce of its
//! row, so that no table, queue or log holds it.

mod letters;

use std::sync::Arc;

use misy_core::crypto::{self, Key};
use misy_core::error::Fault;
use misy_core::{Code, Mailer, Personal, Public, Secret, SignupId, TenantId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::tenants::model::Error as TenantError;

pub use letters::{About, compose};

/// Who may ask for a tenant of their own, and what they get.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether strangers may ask for a tenant at all.
    pub enabled: bool,
    /// Whether an operator decides about each, once its address is verified.
    pub approval: bool,
    /// The plan that they get.
    pub plan: String,
    /// How long the link of the letter works, in seconds.
    pub link_s: u32,
    /// How long a sign-up is kept after it was decided, in seconds; then its address is forgotten.
    pub kept_s: u32,
    /// Sign-ups from one network in an hour.
    pub per_address: u32,
    /// Letters to one e-mail address in an hour; beyond it none is written, and nobody is told.
    pub per_email: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            approval: false,
            plan: "trial".to_owned(),
            link_s: 24 * 3_600,
            kept_s: 30 * 24 * 3_600,
            per_address: 20,
            per_email: 3,
        }
    }
}

impl Config {
    /// Every setting that cannot work, as a sentence each.
    pub fn validate(&self) -> Vec<String> {
        let rules = [
            (!self.plan.is_empty(), "`plan` must not be empty"),
            (self.link_s >= 60, "`link_s` must be at least 60"),
            (self.kept_s >= 3_600, "`kept_s` must be at least 3600"),
            (self.per_address > 0, "`per_address` must be at least 1"),
            (self.per_email > 0, "`per_email` must be at least 1"),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault.to_owned()).collect()
    }
}

/// What sign-ups need that nothing else of this room does.
pub struct Front {
    /// What an operator has set.
    pub config: Config,
    /// Carries the letters.
    pub mailer: Arc<dyn Mailer>,
    /// Makes links and digests.
    pub key: Key,
    /// Where the pages are that links lead to, if there are any.
    pub app_url: Option<String>,
    /// Where the API is.
    pub public_url: String,
}

/// How far a sign-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignupStatus)]
pub enum Status {
    /// Its address is not verified.
    Pending,
    /// An operator has yet to decide.
    Waiting,
    /// It has become a tenant.
    Accepted,
    /// An operator said no.
    Rejected,
}

impl Status {
    const ALL: [Self; 4] = [Self::Pending, Self::Waiting, Self::Accepted, Self::Rejected];

    /// Its name on the wire and in the table.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.slug() == text)
    }
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct NewSignup {
    /// The tenant's name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Who will own it, in small letters.
    pub email: Personal<String>,
    /// Their name.
    pub owner_name: Personal<String>,
    /// Its language and region.
    pub locale: String,
    /// Its IANA time zone.
    pub time_zone: String,
}

/// A sign-up.
#[derive(Debug, Clone)]
pub struct Signup {
    /// Its id.
    pub id: SignupId,
    /// What was asked for.
    pub asked: NewSignup,
    /// What the tenant may use.
    pub plan: String,
    /// How far it is.
    pub status: Status,
    /// Makes the link of its letter.
    pub nonce: Vec<u8>,
    /// The password chosen, sealed, while an operator has yet to decide.
    pub seed: Option<Vec<u8>>,
    /// What it has become.
    pub tenant: Option<TenantId>,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its link stops working.
    pub expires_at: Timestamp,
    /// When its address was verified.
    pub verified_at: Option<Timestamp>,
    /// When it was accepted or rejected.
    pub decided_at: Option<Timestamp>,
}

impl Signup {
    /// Whether its link may still do something, or tell what it has done.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.status != Status::Rejected && now < self.expires_at
    }
}

const PREFIX: &str = "mbs_";

fn mac(key: &Key, id: Uuid, nonce: &[u8]) -> [u8; 32] {
    crypto::hmac_sha256(key.expose(), &[b"link".as_slice(), id.as_bytes(), nonce].concat())
}

/// The secret text of the link that verifies an address.
pub fn link(key: &Key, id: Uuid, nonce: &[u8]) -> Secret {
    let bytes = [id.as_bytes().as_slice(), &mac(key, id, nonce)].concat();
    Secret::new(format!("{PREFIX}{}", crypto::to_base64url(&bytes)))
}

/// The sign-up that a link names, before anything of it is believed.
pub fn named(link: &Secret) -> Option<Uuid> {
    let bytes = crypto::from_base64url(link.expose().strip_prefix(PREFIX)?)?;
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    (rest.len() == 32).then(|| Uuid::from_bytes(*id))
}

/// Whether a text is the link made of this sign-up and nonce.
pub fn is_link_of(link: &Secret, key: &Key, id: Uuid, nonce: &[u8]) -> bool {
    crypto::equal(link.expose().as_bytes(), self::link(key, id, nonce).expose().as_bytes())
}

/// Counts networks without keeping any.
pub fn digest(key: &Key, network: &str) -> Vec<u8> {
    let named = [b"network".as_slice(), network.as_bytes()].concat();
    crypto::hmac_sha256(key.expose(), &named).get(..16).unwrap_or_default().to_vec()
}

/// Why something about a sign-up cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody may sign up here.
    #[error("sign-up is off")]
    Closed,
    /// There is no such sign-up.
    #[error("no such sign-up")]
    NotFound,
    /// The link does not work; why, is not told.
    #[error("the link is not valid")]
    Link,
    /// Too many from one network.
    #[error("too many sign-ups from one network")]
    Limited,
    /// Nothing is to be decided about it.
    #[error("a sign-up that is {} is not decided about", .0.slug())]
    NotWaiting(Status),
    /// The tenant that it became is not made yet.
    #[error("the tenant is not made yet")]
    Unfinished,
    /// What is wrong with the tenant that is asked for.
    #[error(transparent)]
    Tenant(#[from] TenantError),
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// A letter did not leave.
    #[error(transparent)]
    Mail(#[from] misy_core::MailError),
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Closed | Self::NotFound => Code::NotFound,
            Self::Link => Code::InvalidLink,
            Self::Limited => Code::RateLimited,
            Self::NotWaiting(_) => Code::Conflict,
            Self::Unfinished => Code::Unavailable,
            Self::Tenant(error) => error.code(),
            Self::Denied(error) => error.code(),
            Self::Mail(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Closed => {
                Some("Sign-up is not open here; ask whoever runs the platform.".to_owned())
            }
            Self::NotWaiting(status) => {
                Some(format!("The sign-up is {}; nothing is to be decided.", status.slug()))
            }
            Self::Tenant(error) => error.detail(),
            Self::Denied(error) => error.detail(),
            _ => None,
        }
    }

    /// A password lies elsewhere in the body here than where a tenant's owner is given.
    fn faults(&self) -> Vec<Fault> {
        let Self::Tenant(error) = self else { return Vec::new() };
        let moved = |fault: Fault| match fault.pointer.as_str() {
            "/owner/password" => Fault { pointer: "/password".to_owned(), ..fault },
            _ => fault,
        };
        error.faults().into_iter().map(moved).collect()
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Limited => Some(3_600),
            Self::Unfinished => Some(5),
            Self::Tenant(error) => error.retry_after_s(),
            Self::Mail(error) => error.retry_after_s(),
            Self::Store(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
