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
    /// How long a sign-in waits for its second factor, in seconds.
    pub challenge_s: u32,
    /// Whether people who run the platform need a second factor.
    pub operators_need_second_factor: bool,
    /// Links in mails.
    pub links: Links,
}

/// Links in mails: where they lead and how long they work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Links {
    /// The address of the pages that links lead to, for example `https://app.acme.example`. Without
    /// one a mail names the endpoint instead.
    pub app_url: Option<String>,
    /// How long an invitation can be accepted, in seconds.
    pub invitation_s: u32,
    /// How long a forgotten password can be replaced, in seconds.
    pub recovery_s: u32,
    /// How long an address can be confirmed, in seconds.
    pub verification_s: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            app_url: None,
            invitation_s: 7 * 24 * 3_600,
            recovery_s: 1_800,
            verification_s: 24 * 3_600,
        }
    }
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
            challenge_s: 300,
            operators_need_second_factor: false,
            links: Links::default(),
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
        demand((30..=900).contains(&self.challenge_s), "`challenge_s` must be between 30 and 900");
        let Links { app_url, invitation_s, recovery_s, verification_s } = &self.links;
        demand(
            [invitation_s, recovery_s, verification_s].iter().all(|lasts| **lasts >= 60),
            "`links` must work for 60 seconds at least",
        );
        demand(
            app_url.as_deref().is_none_or(leads_to_a_page),
            "`links.app_url` must be `https://...`, or `http://localhost...`",
        );
        let limits = [self.per_address, self.per_account];
        demand(
            limits.iter().all(|limit| limit.burst > 0 && limit.refill_ms > 0),
            "`burst` and `refill_ms` must be at least 1",
        );
        faults
    }
}

/// A link that carries a secret goes to a page by https, or to one on this machine.
fn leads_to_a_page(url: &str) -> bool {
    let local = ["http://localhost", "http://127.0.0.1"];
    let plain = !url.contains(['#', '?', ' ', '"', '<', '>']);
    plain && (url.starts_with("https://") || local.iter().any(|start| url.starts_with(start)))
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
            challenge_s: 5,
            links: Links { app_url: Some("http://app.example".to_owned()), ..Links::default() },
            ..Config::default()
        };
        assert_eq!(config.validate().len(), 5);
    }
}
