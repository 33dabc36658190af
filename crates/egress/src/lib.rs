//! Room `egress`: every outgoing HTTP call of the program goes through [`Egress::call`], which
//! knows for each (tenant, connection, host) how fast it may go, how many calls are in flight and
//! whether the other side is well.
//!
//! The layers, from the outside in: the guard against requests to inner networks ([`guard`]), the
//! circuit breaker, the in-flight limit, the pace, the client, and the record that is written of
//! every call. Each is a module with one reason to change.
//!
//! Never: a provider's name, a retry (the caller's job decides that), a redirect, a proxy from the
//! environment, a body or header in a log.

mod body;
mod breaker;
mod call;
mod client;
mod config;
mod error;
pub mod guard;
mod lane;
mod pace;
mod record;

use std::sync::Arc;

use misy_core::Ambient;
use tokio::time::{Instant, timeout_at};

pub use call::{Answer, Call, Pacing};
pub use config::Config;
pub use error::Error;

use client::Clients;
use lane::{Key, Lanes};

/// The one way out. Cheap to clone; one a process, so that its limits hold for all of it.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    config: Config,
    ambient: Ambient,
    clients: Clients,
    lanes: Lanes,
}

impl Egress {
    /// Opens no connection yet. A machine without certificate authorities gets a warning here and
    /// [`Error::NotSent`] from every call by `https`.
    pub fn new(config: Config, ambient: Ambient) -> Self {
        let clients = Clients::new(&config);
        let lanes = Lanes::new(&config);
        Self(Arc::new(Inner { config, ambient, clients, lanes }))
    }

    /// Makes one call, once. It may wait for its turn, at most `max_wait_ms`; the answer is
    /// complete and within the body limit, or it is an error that says whether the request may have
    /// arrived.
    pub async fn call(&self, call: Call) -> Result<Answer, Error> {
        let started = Instant::now();
        let outcome = self.admit(&call, started).await;
        record::write(&call, &outcome, started.elapsed());
        outcome
    }

    async fn admit(&self, call: &Call, started: Instant) -> Result<Answer, Error> {
        let Inner { config, ambient, clients, lanes } = &*self.0;
        let reach = guard::Reach::of(call.private_hosts_allowed && config.private_hosts_allowed);
        let host = guard::check_url(&call.url, reach)?;
        let deadline = started + config.deadline(call.deadline_ms);
        let lane = lanes.of(Key::new(call.tenant, &call.connection, host));
        let turn = lane.turn(config, started).await?;
        let now = ambient.now();
        let trace = call.trace.filter(|_| call.own_service).map(|trace| trace.child(ambient));
        let sending = clients.send(reach, call, config.max_body(call.max_body_bytes), now, trace);
        let (sent, answer) = sending;
        let outcome = match timeout_at(deadline, answer).await {
            Ok(outcome) => outcome,
            Err(_) if sent.certainly_not() => Err(Error::NotSent("no connection in time".into())),
            Err(_) => Err(Error::Unknown("no answer in time".into())),
        };
        turn.finish(call, &outcome);
        outcome
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Egress")
    }
}
