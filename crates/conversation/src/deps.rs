//! Room `conversation`: what its services work with.

use std::sync::Arc;

use misy_channel::{Gateway, Registry};
use misy_core::Ambient;
use misy_core::crypto::Key;
use misy_store::{Db, Documents, Quota, Vault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::responders::Responder;

/// Settings of conversations, documented for `misybot config explain`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether channel accounts may name private and loopback hosts; for the sandbox.
    pub private_hosts_allowed: bool,
    /// How well an entry must fit before it is given as an answer, from 0 to 1.
    pub answer_threshold: f64,
    /// How long a send whose outcome is unknown waits for a status before it is tried again, in
    /// milliseconds.
    pub unknown_outcome_wait_ms: u64,
    /// How many raw payloads of one account are ingested in one transaction.
    pub ingest_batch: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            private_hosts_allowed: false,
            answer_threshold: 0.5,
            unknown_outcome_wait_ms: 60_000,
            ingest_batch: 200,
        }
    }
}

/// What the services of this room work with.
pub struct Deps {
    /// The database.
    pub db: Db,
    /// Documents: contexts of conversations, raw payloads, texts of the knowledge.
    pub documents: Documents,
    /// Clock, entropy, ids.
    pub ambient: Ambient,
    /// The channels this program was built with.
    pub channels: Registry,
    /// The way out.
    pub egress: Gateway,
    /// Tenants' keys.
    pub vault: Arc<dyn Vault>,
    /// Knows whether a policy of the tenant forbids what a role grants.
    pub policies: Arc<dyn misy_web::Policies>,
    /// How much a tenant may.
    pub quotas: Arc<dyn Quota>,
    /// Who answers first.
    pub responder: Arc<dyn Responder>,
    /// Settings.
    pub config: Config,
    /// Under which handshake tokens are looked up.
    pub routing_key: Key,
    /// The API's address as providers see it, without a slash at its end.
    pub public_url: String,
    /// Channel accounts that were opened lately.
    pub accounts: crate::channels::AccountCache,
    /// Where providers' accounts lead, as looked up lately.
    pub routes: crate::hooks::Routes,
    /// Whose site is whose, and which pages may call.
    pub tenants: Arc<dyn misy_web::TenantDirectory>,
    /// Visitors who wait for an answer.
    pub seats: crate::visitors::Seats,
    /// Payloads on their way into inboxes.
    pub writers: crate::inbox::Writers,
    /// Accounts whose payloads are about to be archived.
    pub archives: crate::inbox::Archives,
}
