//! Room `integration`: carries parcels of one tenant to its endpoints, all at once, and settles
//! those that are through together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, EndpointId, Timestamp};
use misy_jobs::Tenants;
use misy_jobs::parcels::{Carrier, Courier, Desk, Fate, Parcel};
use misy_store::{Error, TenantTx};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::sending::{Sent, send_now};
use super::settling;
use crate::Deps;
use crate::deliveries::model::{Due, Verdict, judge};
use crate::deliveries::store;
use crate::endpoints::service::{OpenEndpoint, find_open, open};

/// Deliveries that are settled together at most.
const SETTLED: usize = 500;

/// How long is waited, once some are through, for others of the same claim: a transaction for each
/// would cost more than the sending.
const GATHERING: Duration = Duration::from_millis(5);

/// How long serial deliveries go on in one claim; the rest is given back, well before its lease is
/// over.
const RUN: Duration = Duration::from_secs(45);

/// How often and after which pause the database is asked again that has just failed.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Carries parcels to endpoints.
pub struct Postman(Arc<Deps>);

impl std::fmt::Debug for Postman {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Postman")
    }
}

impl Postman {
    /// A courier that brings this room's parcels; tenants that are not active wait.
    pub fn courier(deps: &Arc<Deps>, tenants: Option<Arc<dyn Tenants>>) -> Courier<Self> {
        let (db, ambient) = (deps.db.clone(), deps.ambient.clone());
        let config = deps.config.courier.clone();
        Courier::new(db, Arc::new(Self(Arc::clone(deps))), tenants, config, ambient)
    }
}

/// How one try ended.
pub(super) struct Ended {
    pub(super) parcel: Parcel,
    pub(super) due: Option<Due>,
    pub(super) fate: Fate,
    pub(super) verdict: Option<Verdict>,
    pub(super) sent: Option<Sent>,
    /// Why it was given up without a try.
    pub(super) discarded: Option<&'static str>,
}

impl Ended {
    fn back(parcel: Parcel, at: Timestamp) -> Self {
        let fate = Fate::Back { at };
        Self { parcel, due: None, fate, verdict: None, sent: None, discarded: None }
    }

    fn discarded(parcel: Parcel, due: Option<Due>, why: &'static str) -> Self {
        let (verdict, discarded) = (Some(Verdict::GivenUp), Some(why));
        Self { parcel, due, fate: Fate::Done, verdict, sent: None, discarded }
    }
}

/// A delivery with everything it needs.
struct Ready {
    parcel: Parcel,
    due: Due,
    to: Arc<OpenEndpoint>,
}

impl Carrier for Postman {
    async fn carry(self: Arc<Self>, ctx: Ctx, parcels: Vec<Parcel>, desk: Desk) {
        let deps = Arc::clone(&self.0);
        let (ready, mut ended) = match patiently(|| prepare(&deps, &ctx, &parcels)).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::warn!(error, "deliveries are left to their leases");
            }
        };
        let (done, mut results) = mpsc::unbounded_channel();
        let mut sending = JoinSet::new();
        for lot in lots(ready) {
            let (deps, ctx, done) = (Arc::clone(&deps), ctx.clone(), done.clone());
            sending.spawn(async move { send_lot(&deps, &ctx, lot, &done).await });
        }
        drop(done);
        loop {
            if !ended.is_empty() {
                settle(&deps, &ctx, &ended, &desk).await;
                ended.clear();
            }
            if results.recv_many(&mut ended, SETTLED).await == 0 {
                return;
            }
            gather(&mut results, &mut ended).await;
        }
    }
}

/// Takes what else is through within a moment.
async fn gather(results: &mut mpsc::UnboundedReceiver<Ended>, ended: &mut Vec<Ended>) {
    let until = Instant::now() + GATHERING;
    while ended.len() < SETTLED {
        let room = SETTLED - ended.len();
        match timeout_at(until, results.recv_many(ended, room)).await {
            Ok(number) if number > 0 => {}
            _ => return,
        }
    }
}

async fn settle(deps: &Deps, ctx: &Ctx, ended: &[Ended], desk: &Desk) {
    match patiently(|| settling::settle(deps, ctx, ended)).await {
        Ok(due) => desk.settled(ended.len(), due),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what was delivered could not be noted, and will be again");
        }
    }
}

/// Tries what fails for reasons of the database again for a few seconds.
async fn patiently<T, E, F>(mut work: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut tries = 1;
    loop {
        match work().await {
            Err(_) if tries < TRIES => sleep(PAUSE).await,
            result => return result,
        }
        tries += 1;
    }
}

/// Endpoints of one claim; `None` is one that does not open.
type Known = HashMap<EndpointId, Option<Arc<OpenEndpoint>>>;

/// Looks up what the parcels carry and opens their endpoints. Gives what is to be sent, and what
/// is through without that.
async fn prepare(
    deps: &Deps,
    ctx: &Ctx,
    parcels: &[Parcel],
) -> Result<(Vec<Ready>, Vec<Ended>), Error> {
    let ids: Vec<Uuid> = parcels.iter().map(|parcel| parcel.id).collect();
    let mut tx = deps.db.tenant_lightly(ctx).await?;
    let dues = store::load(&mut tx, &ids).await?;
    let mut dues: HashMap<Uuid, Due> = dues.into_iter().map(|due| (due.id.uuid(), due)).collect();
    let (mut known, mut ready, mut ended) = (Known::new(), Vec::new(), Vec::new());
    for parcel in parcels.iter().cloned() {
        let Some(due) = dues.remove(&parcel.id) else {
            ended.push(Ended::discarded(parcel, None, "its day was dropped"));
            continue;
        };
        let Some(version) = due.version else {
            ended.push(Ended::discarded(parcel, Some(due), "the endpoint is off or gone"));
            continue;
        };
        match find_or_open(deps, &mut tx, &mut known, due.endpoint, version).await {
            Some(to) => ready.push(Ready { parcel, due, to }),
            None => ended.push(Ended::discarded(parcel, Some(due), "the endpoint does not open")),
        }
    }
    tx.commit().await?;
    Ok((ready, ended))
}

async fn find_or_open(
    deps: &Deps,
    tx: &mut TenantTx,
    known: &mut Known,
    endpoint: EndpointId,
    version: i64,
) -> Option<Arc<OpenEndpoint>> {
    if let Some(known) = known.get(&endpoint) {
        return known.clone();
    }
    let mut found = find_open(deps, tx.ctx(), endpoint, version);
    if found.is_none() {
        found = open(deps, tx, endpoint).await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, %endpoint, "it does not open");
            None
        });
    }
    known.insert(endpoint, found.clone());
    found
}

/// What is sent one after another: each delivery alone, but those of a serial endpoint together.
fn lots(ready: Vec<Ready>) -> Vec<Vec<Ready>> {
    let mut serial: HashMap<Uuid, Vec<Ready>> = HashMap::new();
    let mut lots = Vec::new();
    for one in ready {
        if one.parcel.serial {
            serial.entry(one.parcel.address).or_default().push(one);
        } else {
            lots.push(vec![one]);
        }
    }
    for mut lot in serial.into_values() {
        lot.sort_by_key(|one| one.parcel.id);
        lots.push(lot);
    }
    lots
}

/// Sends in order; behind one that did not arrive nothing is sent.
async fn send_lot(deps: &Deps, ctx: &Ctx, lot: Vec<Ready>, done: &mpsc::UnboundedSender<Ended>) {
    let begun = Instant::now();
    let mut stopped: Option<Timestamp> = None;
    for one in lot {
        let now = deps.ambient.now();
        if stopped.is_none() && begun.elapsed() > RUN {
            stopped = Some(now);
        }
        let ended = match stopped {
            Some(at) => Ended::back(one.parcel, at),
            None => send(deps, ctx, one).await,
        };
        if let Fate::Again { at } | Fate::Back { at } = ended.fate {
            stopped = stopped.or(Some(at));
        }
        // Nobody listens only if the whole program stops.
        let _ = done.send(ended);
    }
}

async fn send(deps: &Deps, ctx: &Ctx, one: Ready) -> Ended {
    let Ready { parcel, due, to } = one;
    let now = deps.ambient.now();
    let turn = to.turn(now);
    if turn > now {
        return Ended::back(parcel, turn);
    }
    let sent = send_now(deps, ctx, &to, due.event, &due.kind, &due.payload).await;
    let schedule = &to.endpoint.settings.retry_schedule_s;
    let verdict =
        judge(sent.outcome(), parcel.attempts, schedule, deps.ambient.now(), jitter(&deps.ambient));
    let fate = match verdict {
        Verdict::Again { at, pauses } => {
            if pauses {
                to.pause(at);
            }
            Fate::Again { at }
        }
        Verdict::Arrived | Verdict::GivenUp | Verdict::Gone => Fate::Done,
    };
    count(verdict);
    let (verdict, sent, due) = (Some(verdict), Some(sent), Some(due));
    Ended { parcel, due, fate, verdict, sent, discarded: None }
}

fn jitter(ambient: &Ambient) -> u32 {
    u32::from_be_bytes(ambient.bytes())
}

fn count(verdict: Verdict) {
    let outcome = match verdict {
        Verdict::Arrived => "arrived",
        Verdict::Again { .. } => "again",
        Verdict::GivenUp => "dead",
        Verdict::Gone => "gone",
    };
    metrics::counter!("misy_webhook_attempts_total", "outcome" => outcome).increment(1);
}

/// The parcel of a delivery is named by its id.
pub(super) fn delivery_id(parcel: &Parcel) -> misy_core::DeliveryId {
    misy_core::DeliveryId::from_uuid(parcel.id)
}
