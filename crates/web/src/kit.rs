//! Room `web`: what the kit is given by the program.

use std::sync::Arc;

use misy_core::Ambient;
use misy_core::crypto::Key;
use misy_core::error::Fault;
use misy_store::Db;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::health::Readiness;
use crate::rates::{Allowances, RateLimits};
use crate::{Authenticator, TenantDirectory};

/// How the HTTP side behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Within how many milliseconds an answer has to begin.
    pub timeout_ms: u64,
    /// The largest body, in bytes, where a route says nothing else.
    pub body_limit_bytes: usize,
    /// Whether clients reach us by HTTPS: then they are told to insist on it (HSTS).
    pub https: bool,
    /// How many proxies of ours stand in front and add to `X-Forwarded-For`; 0 ignores the header.
    pub trusted_proxies: u8,
    /// How much may be asked how fast.
    pub rates: Allowances,
    /// How connections are served.
    pub server: crate::serve::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout_ms: 30_000,
            body_limit_bytes: 1 << 20,
            https: false,
            trusted_proxies: 0,
            rates: Allowances::default(),
            server: crate::serve::Config::default(),
        }
    }
}

impl Config {
    /// Every value that cannot work, with its pointer.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let Self { timeout_ms, body_limit_bytes, server, rates, .. } = self;
        let amounts = [
            ("/timeout_ms", *timeout_ms),
            ("/body_limit_bytes", *body_limit_bytes as u64),
            ("/server/max_connections", server.max_connections as u64),
            ("/server/header_read_ms", server.header_read_ms),
        ];
        let amounts = amounts.map(|(pointer, amount)| (pointer.to_owned(), amount));
        let quotas = rates.quotas().into_iter().flat_map(|(name, quota)| {
            let amount =
                |field: &str, amount: u32| (format!("/rates/{name}/{field}"), amount.into());
            [amount("requests", quota.requests), amount("window_s", quota.window_s)]
        });
        let zeros = amounts.into_iter().chain(quotas).filter(|(_, amount)| *amount == 0);
        let faults: Vec<_> = zeros
            .map(|(pointer, _)| Fault { pointer, detail: "has to be at least 1".to_owned() })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// Everything the layers around the routes need.
#[derive(Clone)]
pub struct Kit {
    /// Keeps answers to keyed requests.
    pub db: Db,
    /// Knows credentials.
    pub authenticator: Arc<dyn Authenticator>,
    /// Knows which tenants may act, and from which origins.
    pub tenants: Arc<dyn TenantDirectory>,
    /// Knows how much may be asked how fast.
    pub limits: Arc<dyn RateLimits>,
    /// Knows whether the dependencies answer.
    pub readiness: Readiness,
    /// Clock, entropy and ids.
    pub ambient: Ambient,
    /// Seals stored answers, for they may hold secrets that are shown once.
    pub answer_key: Key,
    /// How the HTTP side behaves.
    pub config: Config,
}

impl Kit {
    /// A kit whose limits come from the configuration and that is ready when the database answers.
    pub fn new(
        db: Db,
        authenticator: Arc<dyn Authenticator>,
        tenants: Arc<dyn TenantDirectory>,
        answer_key: Key,
        config: Config,
    ) -> Self {
        let ambient = db.ambient().clone();
        let readiness = Readiness::of_database(db.clone());
        let limits = Arc::new(config.rates);
        Self { db, authenticator, tenants, limits, readiness, ambient, answer_key, config }
    }
}

impl std::fmt::Debug for Kit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kit")
    }
}
