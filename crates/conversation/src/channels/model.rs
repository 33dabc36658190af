//! Room `conversation`: what a channel account is, how its credentials are sealed, what can be
//! wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use misy_channel::Account;
use misy_channel::account::Credentials;
use misy_core::crypto::{self, Key, OpenError, Place, SEAL_NONCE_BYTES};
use misy_core::error::Fault;
use misy_core::id::TypedId;
use misy_core::{ChannelId, Code, Public, Secret, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Below;

/// A tenant's account at a provider, without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelAccount {
    /// Its id.
    pub id: ChannelId,
    /// Which channel.
    pub kind: String,
    /// Its name for people.
    pub name: String,
    /// The provider's id of it.
    pub external_id: String,
    /// Whether it is used.
    pub status: Status,
    /// Everything that is not secret.
    pub settings: Map<String, Value>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was connected.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Whether an account is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChannelStatus)]
pub enum Status {
    /// Receives and sends.
    Active,
    /// Receives, and sends nothing.
    Disabled,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled].into_iter().find(|one| one.slug() == text)
    }
}

/// What an administrator gives to connect an account.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Which channel.
    pub kind: String,
    /// Its name for people.
    pub name: String,
    /// The provider's id of it.
    pub external_id: String,
    /// Secrets by name.
    pub credentials: Credentials,
    /// Everything that is not secret.
    pub settings: Map<String, Value>,
}

/// What may be changed of an account.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new name.
    pub name: Option<String>,
    /// New settings, replacing the old.
    pub settings: Option<Map<String, Value>>,
    /// New secrets; those not named stay.
    pub credentials: Option<Credentials>,
    /// Switched on or off.
    pub status: Option<Status>,
}

/// An account with its secrets opened, for as long as the cache keeps it.
#[derive(Debug)]
pub struct Opened {
    /// Which channel.
    pub kind: String,
    /// Whether it is used.
    pub status: Status,
    /// The account as its adapter takes it.
    pub account: Arc<Account>,
}

/// Opened accounts. A change made by another process is seen after two seconds at the latest.
#[derive(Clone)]
pub struct AccountCache(moka::sync::Cache<(TenantId, ChannelId), Arc<Opened>>);

const KEPT: Duration = Duration::from_secs(2);
const KEPT_MAX: u64 = 10_000;

impl Default for AccountCache {
    fn default() -> Self {
        Self(moka::sync::Cache::builder().max_capacity(KEPT_MAX).time_to_live(KEPT).build())
    }
}

impl AccountCache {
    /// The account, if it was opened lately.
    pub(crate) fn find(&self, tenant: TenantId, id: ChannelId) -> Option<Arc<Opened>> {
        self.0.get(&(tenant, id))
    }

    /// Keeps an opened account.
    pub(crate) fn keep(&self, opened: &Arc<Opened>) {
        self.0.insert((opened.account.tenant, opened.account.id), Arc::clone(opened));
    }

    /// Forgets an account that was just changed here.
    pub(crate) fn forget(&self, tenant: TenantId, id: ChannelId) {
        self.0.invalidate(&(tenant, id));
    }
}

fn place(tenant: TenantId, id: ChannelId) -> Place<'static> {
    Place { tenant, table: "channels", column: "credentials", row: id.uuid() }
}

/// Seals credentials for one account's row.
pub fn seal(
    key: &Key,
    version: u32,
    tenant: TenantId,
    id: ChannelId,
    nonce: [u8; SEAL_NONCE_BYTES],
    credentials: &Credentials,
) -> Vec<u8> {
    let texts: BTreeMap<&str, &str> =
        credentials.0.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
    let plain = serde_json::to_vec(&texts).expect("texts by name always serialise");
    crypto::seal(key, version, &place(tenant, id), nonce, &plain)
}

/// Opens what [`seal`] made for the same row.
pub fn open(
    key: &Key,
    tenant: TenantId,
    id: ChannelId,
    sealed: &[u8],
) -> Result<Credentials, OpenError> {
    let plain = crypto::open(key, &place(tenant, id), sealed)?;
    let texts: BTreeMap<String, Secret> = serde_json::from_slice(&plain).map_err(|_| OpenError)?;
    Ok(Credentials(texts))
}

/// By which a provider's handshake finds the account, without the token being stored.
pub fn handshake_digest(routing: &Key, token: &str) -> [u8; 32] {
    crypto::hmac_sha256(routing.expose(), token.as_bytes())
}

/// Why something about a channel account cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("no such channel account")]
    NotFound,
    /// Fields are wrong.
    #[error("the channel account's data is not valid")]
    Invalid(Vec<Fault>),
    /// The provider's account is connected already, here or elsewhere.
    #[error("the provider's account is connected already")]
    Taken,
    /// It was changed meanwhile.
    #[error("the channel account was changed meanwhile")]
    Stale,
    /// The stored credentials do not open.
    #[error("the credentials cannot be opened")]
    Sealed(#[source] OpenError),
    /// The right or the database.
    #[error(transparent)]
    Below(Below),
}

impl<E: Into<Below>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Below(error.into())
    }
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Invalid(faults) if faults.iter().any(names_private_host) => Code::HostNotAllowed,
            Self::Invalid(_) => Code::Invalid,
            Self::Taken => Code::Conflict,
            Self::Stale => Code::Stale,
            Self::Sealed(_) => Code::Internal,
            Self::Below(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::Taken => Some(
                "This account of the provider is connected already; disconnect it there first."
                    .to_owned(),
            ),
            Self::Below(error) => error.detail(),
            _ => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        if let Self::Invalid(faults) = self { faults.clone() } else { Vec::new() }
    }

    fn retry_after_s(&self) -> Option<u32> {
        if let Self::Below(error) = self { error.retry_after_s() } else { None }
    }
}

fn names_private_host(fault: &Fault) -> bool {
    fault.detail.contains(misy_channel::account::PRIVATE_HOST_RULE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn credentials() -> Credentials {
        Credentials([("access_token".to_owned(), Secret::new("EAAG"))].into())
    }

    fn ids(number: u128) -> (TenantId, ChannelId) {
        let uuid = Uuid::from_u128(number);
        (TenantId::from_uuid(uuid), ChannelId::from_uuid(uuid))
    }

    #[test]
    fn credentials_open_in_their_own_row_only() {
        let (tenant, id) = ids(1);
        let key = Key::new([7; 32]);
        let sealed = seal(&key, 1, tenant, id, [1; 24], &credentials());
        assert_eq!(open(&key, tenant, id, &sealed).expect("its own"), credentials());
        assert!(open(&key, tenant, ids(2).1, &sealed).is_err());
        assert!(open(&key, ids(2).0, id, &sealed).is_err());
    }

    #[test]
    fn a_sealed_credential_is_not_readable() {
        let (tenant, id) = ids(1);
        let sealed = seal(&Key::new([7; 32]), 1, tenant, id, [1; 24], &credentials());
        assert!(!sealed.windows(4).any(|window| window == b"EAAG"));
    }
}
