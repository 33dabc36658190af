//! Room `egress`: what an operator may set.

use std::path::PathBuf;
use std::time::Duration;

use misy_core::error::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{client, names, origins};

/// Limits of outgoing calls. The defaults suit a machine of two cores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether calls to an address that a tenant's administrator configured may go to private and
    /// loopback hosts, and by plain `http`. For the sandbox and for on-premise providers;
    /// link-local and metadata addresses stay refused.
    pub private_hosts_allowed: bool,
    /// A PEM file of certificate authorities that are believed besides those of the machine, for
    /// receivers and providers with certificates of your own.
    pub authority_file: Option<PathBuf>,
    /// Services of our own, as `https://host[:port]`. They alone are told tenant, trace and request
    /// of a call (`baggage`, `traceparent`, `x-request-id`).
    pub own_origins: Vec<String>,
    /// Name servers that are asked for proofs of domains, as `ip` or `ip:port`; those of the
    /// machine if none is named.
    pub name_servers: Vec<String>,
    /// Longest time for one call from its beginning to the last byte of the answer, in
    /// milliseconds.
    pub deadline_ms: u64,
    /// Longest time for name, connection and TLS of one call, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Largest body of an answer, in bytes; reading stops there.
    pub max_body_bytes: usize,
    /// Idle connections kept open to one host.
    pub max_idle_per_host: usize,
    /// Idle connections kept open to one host that webhooks are delivered to.
    pub max_idle_shipping: usize,
    /// How long an idle connection is kept, in milliseconds. Shorter than what servers keep,
    /// because a request on a connection that the server just closed has an unknown outcome.
    pub idle_timeout_ms: u64,
    /// Calls in flight of one (tenant, connection, host).
    pub in_flight_per_connection: usize,
    /// Calls in flight of the whole process.
    pub in_flight_total: usize,
    /// Calls a second of one (tenant, connection, host); the other side may demand less at any
    /// time.
    pub rate_per_s: u32,
    /// Calls that may be made at once after a pause.
    pub burst: u32,
    /// Longest time a call waits for its turn, in milliseconds; one that would wait longer is told
    /// when to come back instead.
    pub max_wait_ms: u64,
    /// Failures in a row after which nothing is sent for a while.
    pub breaker_failures: u32,
    /// How long nothing is sent at first, in milliseconds; doubles with every failed probe.
    pub breaker_open_ms: u64,
    /// How long nothing is sent at most, in milliseconds.
    pub breaker_open_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            private_hosts_allowed: false,
            authority_file: None,
            own_origins: Vec::new(),
            name_servers: Vec::new(),
            deadline_ms: 15_000,
            connect_timeout_ms: 5_000,
            max_body_bytes: 1024 * 1024,
            max_idle_per_host: 32,
            max_idle_shipping: 1_024,
            idle_timeout_ms: 20_000,
            in_flight_per_connection: 64,
            in_flight_total: 1024,
            rate_per_s: 1_000,
            burst: 100,
            max_wait_ms: 2_000,
            breaker_failures: 10,
            breaker_open_ms: 5_000,
            breaker_open_max_ms: 300_000,
        }
    }
}

impl Config {
    /// Every value that cannot work.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let zeros = [
            ("deadline_ms", self.deadline_ms == 0),
            ("connect_timeout_ms", self.connect_timeout_ms == 0),
            ("max_body_bytes", self.max_body_bytes == 0),
            ("in_flight_per_connection", self.in_flight_per_connection == 0),
            ("in_flight_total", self.in_flight_total == 0),
            ("rate_per_s", self.rate_per_s == 0),
            ("burst", self.burst == 0),
            ("breaker_failures", self.breaker_failures == 0),
            ("breaker_open_ms", self.breaker_open_ms == 0),
        ];
        let mut faults: Vec<Fault> = zeros
            .into_iter()
            .filter(|(_, is_zero)| *is_zero)
            .map(|(name, _)| Fault { pointer: format!("/{name}"), detail: "must not be 0".into() })
            .collect();
        if let Some(Err(detail)) = self.authority_file.as_deref().map(client::read_authorities) {
            faults.push(Fault { pointer: "/authority_file".into(), detail: detail.into() });
        }
        for (index, text) in self.own_origins.iter().enumerate() {
            if origins::read(text).is_none() {
                let detail = "has to be `https://host[:port]`".into();
                faults.push(Fault { pointer: format!("/own_origins/{index}"), detail });
            }
        }
        for (index, text) in self.name_servers.iter().enumerate() {
            if names::read_server(text).is_none() {
                let detail = "has to be `ip` or `ip:port`".into();
                faults.push(Fault { pointer: format!("/name_servers/{index}"), detail });
            }
        }
        if self.breaker_open_max_ms < self.breaker_open_ms {
            faults.push(Fault {
                pointer: "/breaker_open_max_ms".into(),
                detail: "must not be less than breaker_open_ms".into(),
            });
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// A call may shorten the deadline, never lengthen it beyond four times the operator's.
    pub(crate) fn deadline(&self, asked_ms: Option<u64>) -> Duration {
        let asked = asked_ms.unwrap_or(self.deadline_ms);
        Duration::from_millis(asked.min(self.deadline_ms.saturating_mul(4)))
    }

    pub(crate) fn max_body(&self, asked_bytes: Option<usize>) -> usize {
        asked_bytes.unwrap_or(self.max_body_bytes)
    }

    /// The name servers that the operator names, or those of the machine.
    pub fn name_servers(&self) -> names::NameServers {
        let patience = Duration::from_millis(self.connect_timeout_ms);
        names::NameServers::new(&self.name_servers, patience)
    }

    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_millis(self.max_wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_fault_is_told_at_once() {
        assert_eq!(Config::default().validate(), Ok(()));
        let own_origins = vec!["https://own.example".to_owned(), "own.example".to_owned()];
        let broken = Config { burst: 0, breaker_open_max_ms: 1, own_origins, ..Config::default() };
        assert_eq!(broken.validate().map_err(|faults| faults.len()), Err(3));
        let file = std::env::temp_dir().join("no-such-folder/authorities.pem");
        let absent = Config { authority_file: Some(file), ..Config::default() };
        let faults = absent.validate().expect_err("there is no such file");
        assert_eq!(faults[0].pointer, "/authority_file");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<Config>(r#"{"deadline": 3}"#).is_err());
        let read: Config = serde_json::from_str(r#"{"deadline_ms": 3}"#).expect("a known key");
        assert_eq!(read.deadline(None), Duration::from_millis(3));
        assert_eq!(read.deadline(Some(1_000)), Duration::from_millis(12));
    }
}
