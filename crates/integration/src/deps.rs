//! Room `integration`: what its services work with.

use std::sync::Arc;

use misy_core::Ambient;
use misy_core::error::Fault;
use misy_egress::Gateway;
use misy_store::{Db, Herald, Quota, Vault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoints::Opened;

/// What a lease has to be longer than a try: a serial run goes on for 45 s before its last try, and
/// then it is written down.
const LEFT_OF_LEASE_MS: u64 = 60_000;

/// An answer is held in memory while it is read.
const READ_MOST_BYTES: usize = 16 << 20;

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
    /// Sources that a tenant may have.
    pub sources_max: u16,
    /// Requests to all sources of a tenant that are taken a second, at most, by each process.
    pub sources_rate_per_s: u32,
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
            sources_max: 100,
            sources_rate_per_s: 1_000,
            courier: misy_jobs::parcels::Config::default(),
        }
    }
}

impl Config {
    /// Every value that cannot work.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let Self { courier, .. } = self;
        let longest_ms = courier.lease_ms.saturating_sub(LEFT_OF_LEASE_MS);
        let wrong = [
            ("/endpoints_max", self.endpoints_max == 0, "must not be 0"),
            ("/deadline_ms", self.deadline_ms == 0, "must not be 0"),
            ("/deadline_ms", self.deadline_ms > longest_ms, "is too long for courier.lease_ms"),
            ("/read_max_bytes", self.read_max_bytes > READ_MOST_BYTES, "is above 16777216"),
            ("/kept_bytes", self.kept_bytes > self.read_max_bytes, "is above read_max_bytes"),
            ("/keep_days", !(1..=4_000).contains(&self.keep_days), "is not from 1 to 4000"),
            ("/failing_days", self.failing_days == 0, "must not be 0"),
            ("/backlog_max", self.backlog_max == 0, "must not be 0"),
            ("/courier/under_way", courier.under_way == 0, "must not be 0"),
            ("/courier/poll_ms", courier.poll_ms == 0, "must not be 0"),
        ];
        let fault = |(pointer, is_wrong, detail): &(&str, bool, &str)| {
            is_wrong.then(|| Fault { pointer: (*pointer).into(), detail: (*detail).into() })
        };
        let faults: Vec<Fault> = wrong.iter().filter_map(fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
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
    /// Tells those who run a tenant.
    pub heralds: Arc<dyn Herald>,
    /// Settings.
    pub config: Config,
    /// Endpoints that were opened lately.
    pub opened: Opened,
    /// How full the tenants' queues were lately.
    pub backlogs: crate::events::Backlogs,
    /// What tenants publish at the moment.
    pub publications: crate::events::Publications,
    /// What is remembered of sources between requests.
    pub gate: crate::sources::Gate,
    /// Where the outside finds us, without a slash at the end.
    pub public_url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_fault_is_told_at_once() {
        assert_eq!(Config::default().validate(), Ok(()));
        let broken = Config {
            deadline_ms: 100_000,
            kept_bytes: 1 << 20,
            keep_days: 0,
            backlog_max: 0,
            ..Config::default()
        };
        let faults = broken.validate().expect_err("it has faults");
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["/deadline_ms", "/kept_bytes", "/keep_days", "/backlog_max"]);
    }
}
