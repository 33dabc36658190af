//! Room `integration`: what its services work with.

use std::sync::Arc;

use misy_core::Ambient;
use misy_egress::Gateway;
use misy_store::{Db, Quota, Vault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoints::Opened;

/// Settings of webhooks, documented for `misybot config explain`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether endpoints may lie on private and loopback hosts and be reached by plain `http`; for
    /// development. The operator's `egress.private_hosts_allowed` has to allow it as well.
    pub private_hosts_allowed: bool,
    /// Whether a new endpoint gets nothing until its owner has shown, by answering a challenge,
    /// that it is theirs.
    pub ownership_checked: bool,
    /// Endpoints that a tenant may have.
    pub endpoints_max: u16,
    /// How long one delivery may take, from the beginning to the end of the answer, in
    /// milliseconds.
    pub deadline_ms: u64,
    /// Bytes of an answer's body that are read.
    pub read_max_bytes: usize,
    /// Bytes of an answer's body that are kept in the log of attempts.
    pub kept_bytes: usize,
    /// Days for which events, deliveries and attempts are kept; then their day is dropped.
    pub keep_days: u16,
    /// Days of nothing but failures after which an endpoint is switched off.
    pub failing_days: u16,
    /// Deliveries of a tenant that may wait before publishing is refused with 429.
    pub backlog_max: u32,
    /// How many are delivered at once.
    pub courier: misy_jobs::parcels::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            private_hosts_allowed: false,
            ownership_checked: false,
            endpoints_max: 100,
            deadline_ms: 15_000,
            read_max_bytes: 64 * 1024,
            kept_bytes: 4 * 1024,
            keep_days: 30,
            failing_days: 5,
            backlog_max: 1_000_000,
            courier: misy_jobs::parcels::Config::default(),
        }
    }
}

/// What the services of this room work with.
pub struct Deps {
    /// The database.
    pub db: Db,
    /// Clock, entropy, ids.
    pub ambient: Ambient,
    /// The way out.
    pub egress: Gateway,
    /// Tenants' keys.
    pub vault: Arc<dyn Vault>,
    /// How many endpoints a plan allows.
    pub quotas: Arc<dyn Quota>,
    /// Settings.
    pub config: Config,
    /// Endpoints that were opened lately.
    pub opened: Opened,
    /// How full the tenants' queues were lately.
    pub backlogs: crate::events::Backlogs,
}
