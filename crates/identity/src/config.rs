//! Room `identity`: what an operator may set about sign-in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attempts::Allowance;

/// How people and programs sign in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `iss` of access tokens; the public address of the API.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// How long an access token is valid, in seconds.
    pub access_token_s: u32,
    /// How long a session lasts without a refresh, in seconds.
    pub session_idle_s: u32,
    /// How long a session lasts at most, in seconds.
    pub session_absolute_s: u32,
    /// How long a new signing key is published before it signs, in seconds.
    pub key_lead_s: u32,
    /// Passwords hashed at the same time; each takes 19 MiB and a core.
    pub hashing_concurrency: usize,
    /// Passwords that may wait to be hashed; beyond it the answer is 503.
    pub hashing_queue: usize,
    /// Sign-ins and refreshes that one address may try.
    pub per_address: Allowance,
    /// Sign-ins that may be tried for one account.
    pub per_account: Allowance,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: "https://misybot.invalid".to_owned(),
            audience: "misybot".to_owned(),
            access_token_s: 300,
            session_idle_s: 14 * 24 * 3_600,
            session_absolute_s: 90 * 24 * 3_600,
            key_lead_s: 60,
            hashing_concurrency: 1,
            hashing_queue: 64,
            per_address: Allowance { burst: 60, refill_ms: 1_000 },
            per_account: Allowance { burst: 20, refill_ms: 5_000 },
        }
    }
}

impl Config {
    /// Every setting that cannot work, as a sentence each.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut demand = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        demand(!self.issuer.is_empty(), "`issuer` must not be empty");
        demand(!self.audience.is_empty(), "`audience` must not be empty");
        demand(
            (30..=3_600).contains(&self.access_token_s),
            "`access_token_s` must be between 30 and 3600",
        );
        demand(
            self.session_idle_s >= self.access_token_s,
            "`session_idle_s` must not be less than `access_token_s`",
        );
        demand(
            self.session_absolute_s >= self.session_idle_s,
            "`session_absolute_s` must not be less than `session_idle_s`",
        );
        demand(self.hashing_concurrency > 0, "`hashing_concurrency` must be at least 1");
        let limits = [self.per_address, self.per_account];
        demand(
            limits.iter().all(|limit| limit.burst > 0 && limit.refill_ms > 0),
            "`burst` and `refill_ms` must be at least 1",
        );
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let config = Config {
            issuer: String::new(),
            access_token_s: 0,
            hashing_concurrency: 0,
            ..Config::default()
        };
        assert_eq!(config.validate().len(), 3);
    }
}
