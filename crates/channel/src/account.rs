//! Room `channel`: a tenant's account at a provider.

use misy_core::{ChannelId, Secret, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What [`crate::Channel::check_draft`] says of an address that only an operator can allow; whoever
/// answers the administrator tells this fault from the others by it.
pub const PRIVATE_HOST_RULE: &str =
    "private and loopback hosts are refused unless the operator's configuration allows them";

/// What an administrator enters. Credentials and settings are the provider's own fields.
#[derive(Debug, Clone)]
pub struct AccountDraft {
    /// The account's id at the provider.
    pub external_id: String,
    /// Secrets by name.
    pub credentials: Credentials,
    /// Everything that is not secret.
    pub settings: Map<String, Value>,
    /// Whether the operator lets channels call private and loopback hosts.
    pub private_hosts_allowed: bool,
}

/// Secrets by name; prints no value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Credentials(pub std::collections::BTreeMap<String, Secret>);

impl Credentials {
    /// The secret of a name, unless it is empty.
    pub fn find(&self, name: &str) -> Option<&Secret> {
        self.0.get(name).filter(|secret| !secret.is_empty())
    }
}

/// An account with its secrets opened, for the moment of a call.
#[derive(Debug, Clone)]
pub struct Account {
    /// Our id of it.
    pub id: ChannelId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The account's id at the provider.
    pub external_id: String,
    /// Secrets by name.
    pub credentials: Credentials,
    /// Everything that is not secret.
    pub settings: Map<String, Value>,
}

impl Account {
    /// A setting that is a text.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).and_then(Value::as_str)
    }
}

/// What the provider says of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// Whether messages can be sent now.
    pub ok: bool,
    /// The name that customers see, if the provider tells it.
    pub display_name: Option<String>,
    /// The address that customers see.
    pub address: Option<String>,
    /// What is wrong and what to do about it.
    pub detail: Option<String>,
}
