//! Room `jobs`: the second queue, for what goes out by the hundred. A parcel is a row of ids; what
//! it carries is its tenant's and is looked up by the [`Carrier`], inside the tenant.
//!
//! Jobs are claimed one by one in effect: each runs in a context of its own and is looked after on
//! its own. Parcels of a tenant are claimed, carried and settled together, because what costs is
//! the transaction and not the row. They are fair in the same way, first between tenants, then
//! between addresses; an address never has more of them under way than its cap, in all processes
//! together, and only half of that are parcels that were tried before.

mod courier;
mod pace;
mod store;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use misy_core::{Ctx, Timestamp};
use misy_store::{Error, TenantTx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

pub use courier::Courier;
pub use store::{Waiting, count, is_beyond};

/// How much a process carries at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Parcels under way. Each waits for a network and holds no connection to the database.
    pub under_way: usize,
    /// How long a claim holds before another process may take the parcel, in milliseconds. Longer
    /// than any one of them may take.
    pub lease_ms: u64,
    /// How often the queue is looked at without being told to, in milliseconds.
    pub poll_ms: u64,
    /// How long a stopping process waits for what is under way, in milliseconds.
    pub drain_ms: u64,
    /// Whether this is the only process that carries: then whatever is out when it starts was left
    /// by a predecessor that died, and is taken back at once.
    pub sole: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { under_way: 2_048, lease_ms: 120_000, poll_ms: 500, drain_ms: 20_000, sole: false }
    }
}

/// A parcel that this process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Which one; means something to the carrier.
    pub id: Uuid,
    /// To whom.
    pub address: Uuid,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// Whether it must not overtake another one to the same address.
    pub serial: bool,
    lease: Uuid,
}

/// What becomes of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is through, one way or the other.
    Done,
    /// It is tried again.
    Again {
        /// Not before this.
        at: Timestamp,
    },
    /// It was not tried; the same, as if it had not been claimed.
    Back {
        /// Not before this.
        at: Timestamp,
    },
}

/// Brings parcels to where they belong.
pub trait Carrier: Send + Sync + 'static {
    /// Carries parcels of one tenant. It settles each ([`settle`]) and tells the desk once that is
    /// committed; what it does not settle is left to its lease. Serial parcels come in their order
    /// and are to be carried in it, as far as they arrive.
    fn carry(
        self: Arc<Self>,
        ctx: Ctx,
        parcels: Vec<Parcel>,
        desk: Desk,
    ) -> impl Future<Output = ()> + Send;
}

/// Where a carrier says what is settled, so that others may take its place.
#[derive(Debug, Clone)]
pub struct Desk {
    tenant: Uuid,
    left: Arc<AtomicUsize>,
    freed: mpsc::UnboundedSender<Freed>,
}

/// Places that became free.
#[derive(Debug)]
pub(crate) struct Freed {
    pub(crate) tenant: Uuid,
    pub(crate) number: usize,
    /// When the first of what was put off is due.
    pub(crate) due: Option<Timestamp>,
}

impl Desk {
    /// So many parcels are settled; `due` is when the first of those is due again that were put
    /// off.
    pub fn settled(&self, number: usize, due: Option<Timestamp>) {
        let take = |left: usize| Some(left.saturating_sub(number));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let number = left.unwrap_or_default().min(number);
        // Nobody listens only if the courier is gone.
        let _ = self.freed.send(Freed { tenant: self.tenant, number, due });
    }

    fn close(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.settled(left, None);
        }
    }
}

/// Enters what became of parcels; gives the ids of those that were still held. The rest was taken
/// from this process meanwhile and is somebody else's to settle.
pub async fn settle(tx: &mut TenantTx, ended: &[(&Parcel, Fate)]) -> Result<Vec<Uuid>, Error> {
    store::settle(tx, ended).await
}
