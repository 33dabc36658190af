//! Room `egress`: every outgoing HTTP call of the program goes through [`Egress::call`], which is
//! had for a context only ([`Gateway::of`]) and knows for each (tenant, connection, host) how fast
//! it may go, how many calls are in flight and whether the other side is well.
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
pub mod mail;
pub mod names;
mod origins;
mod pace;
mod record;
mod shipment;

use std::sync::Arc;

use misy_core::{Ambient, Ctx, Misplaced, Trace};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

pub use call::{Answer, Call, Pacing};
pub use config::Config;
pub use error::Error;
pub use shipment::{Identity, Receipt, Shipment, Way};

pub use names::{NameServers, TxtRecords};

use client::{Clients, Ground};
use guard::{LookUp, OfMachine};
use lane::{Key, Lanes};
use origins::Origins;

/// Where every way out begins. Cheap to clone; one a process, so that its limits hold for all of
/// it. It makes no call by itself: [`Gateway::of`] leads out on behalf of somebody.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    config: Config,
    ground: Ground,
    own: Origins,
    ambient: Ambient,
    clients: Clients,
    /// For deliveries, of which many go to one host at once.
    shipping: Clients,
    lanes: Lanes,
}

impl Gateway {
    /// Opens no connection yet. A machine without certificate authorities gets a warning here and
    /// [`Error::NotSent`] from every call by `https`.
    pub fn new(config: Config, ambient: Ambient) -> Self {
        Self::asking(config, ambient, Arc::new(OfMachine))
    }

    /// The same with another one to ask for the addresses of names.
    pub fn asking(config: Config, ambient: Ambient, names: Arc<dyn LookUp>) -> Self {
        let ground = Ground::new(&config, names);
        let clients = Clients::new(&config, config.max_idle_per_host, &ground);
        let shipping = Clients::new(&config, config.max_idle_shipping, &ground);
        let lanes = Lanes::new(&config);
        let own = Origins::read(&config.own_origins);
        Self(Arc::new(Inner { config, ground, own, ambient, clients, shipping, lanes }))
    }

    /// The way out for one tenant's work.
    pub fn of(&self, ctx: &Ctx) -> Egress {
        Egress { inner: Arc::clone(&self.0), ctx: ctx.clone() }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

/// The way out on behalf of one tenant.
#[derive(Clone)]
pub struct Egress {
    inner: Arc<Inner>,
    ctx: Ctx,
}

impl Egress {
    /// Makes one call, once. It may wait for its turn, at most `max_wait_ms`; the answer is
    /// complete and within the body limit, or it is an error that says whether the request may have
    /// arrived. A call for another tenant than the one that this way belongs to is refused.
    pub async fn call(&self, call: Call) -> Result<Answer, Error> {
        let started = Instant::now();
        let (span, trace) = record::span(&self.ctx, &call.method, &call.url, &self.inner.ambient);
        let outcome = self.admit(&call, started, trace).instrument(span.clone()).await;
        record::tell(&span, outcome.as_ref().map(|answer| answer.status));
        record::write(&call, &self.ctx, &outcome, started.elapsed());
        outcome
    }

    async fn admit(&self, call: &Call, started: Instant, trace: Trace) -> Result<Answer, Error> {
        let Inner { config, own, ambient, clients, lanes, .. } = &*self.inner;
        if call.tenant != self.ctx.tenant() {
            return Err(Error::Misplaced(Misplaced::Ambiguous));
        }
        let reach = guard::Reach::of(call.private_hosts_allowed && config.private_hosts_allowed);
        let host = guard::check_url(&call.url, reach)?;
        let deadline = started + config.deadline(call.deadline_ms);
        let lane = lanes.of(Key::new(call.tenant, &call.connection, host));
        let turn = lane.turn(config, started).await?;
        let headers = own.headers(call, &self.ctx, trace);
        let limit_bytes = config.max_body(call.max_body_bytes);
        let (sent, answer) = clients.send(reach, call, headers, limit_bytes, ambient.now());
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
