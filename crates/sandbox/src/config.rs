//! Room `sandbox`: what an operator may set.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the emulator. What is settable per account is its behaviour, changed over the
/// script API while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens; port 0 takes a free one. Credentials are shown to whoever can reach it,
    /// so it belongs on a loopback address.
    pub listen: SocketAddr,
    /// Directory of the journal and of uploaded media, made if absent. Without it everything is
    /// kept in memory and gone at the end.
    pub data: Option<PathBuf>,
    /// How many accounts are made when there is none yet.
    pub seed_accounts: u32,
    /// How long a receiver may take to answer a webhook, milliseconds.
    pub webhook_timeout_ms: u64,
    /// The longest pause between two attempts to deliver one webhook, milliseconds. Meta goes up to
    /// hours; nobody waits that long for a test.
    pub retry_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data: None,
            seed_accounts: 2,
            webhook_timeout_ms: 10_000,
            retry_max_ms: 3_000,
        }
    }
}
