//! Room `jobs`: the loop that claims parcels and hands them to the carrier.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Ambient, Ctx, Grants, PlatformCtx, TenantId, Timestamp};
use misy_store::{Db, Error, Precedence};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::pace::Pace;
use super::store::{Catch, Place, Turn, Want};
use super::{Carrier, Config, Desk, Freed, Parcel};
use crate::outcome::later;
use crate::worker::Running;
use crate::{Tenants, envelope, run, tasks};

/// Parcels of one claim.
const CLAIM: usize = 500;

/// The least time from one look at what is due to the next.
const TICK: Duration = Duration::from_millis(5);

/// How long to leave the database alone that has just failed.
const PAUSE: Duration = Duration::from_millis(200);

/// How long parcels of a tenant wait that is not active, until the next look.
const STOPPED: Duration = Duration::from_secs(20);

/// How often parcels are counted and lost ones are looked for.
const UPKEEP: Duration = Duration::from_secs(5);

/// So many times as long as counting took, nothing is counted.
const SELDOM: u32 = 400;

/// Parcels that are counted for the gauge; beyond that it stands still.
const COUNTED: i64 = 100_000;

const START: Place = (Uuid::max(), Uuid::max(), true);

/// Claims parcels and has them carried.
pub struct Courier<C> {
    db: Db,
    carrier: Arc<C>,
    tenants: Option<Arc<dyn Tenants>>,
    config: Config,
    ambient: Ambient,
    ctx: PlatformCtx,
    /// Parcels under way, by tenant.
    held: HashMap<Uuid, usize>,
    total: usize,
    freed: mpsc::UnboundedReceiver<Freed>,
    freeing: mpsc::UnboundedSender<Freed>,
    carrying: JoinSet<()>,
    /// The count for the gauges, if it is under way; gives how long it took.
    telling: JoinSet<Duration>,
    /// Before that, nothing is counted again.
    tell_from: Instant,
    after: Place,
    pace: Pace,
    due: Instant,
    upkeep: Instant,
}

impl<C> std::fmt::Debug for Courier<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Courier {{ under way: {} }}", self.total)
    }
}

impl<C: Carrier> Courier<C> {
    /// Makes a courier that does nothing by itself. Tenants that are not active wait.
    pub fn new(
        db: Db,
        carrier: Arc<C>,
        tenants: Option<Arc<dyn Tenants>>,
        config: Config,
        ambient: Ambient,
    ) -> Self {
        let (freeing, freed) = mpsc::unbounded_channel();
        let now = Instant::now();
        Self {
            db,
            carrier,
            tenants,
            config,
            ctx: envelope::keeper(&ambient),
            ambient,
            held: HashMap::new(),
            total: 0,
            freed,
            freeing,
            carrying: JoinSet::new(),
            telling: JoinSet::new(),
            tell_from: now,
            after: START,
            pace: Pace::new(now),
            due: now,
            upkeep: now,
        }
    }

    /// Starts to carry what is ready until it is stopped.
    pub fn start(self) -> Running {
        let (stop, stopped) = watch::channel(());
        let patience = Duration::from_millis(self.config.drain_ms) + Duration::from_secs(10);
        Running::new(stop, tasks::spawn(self.run(stopped)), patience)
    }

    /// Carries everything that is ready at `now` until nothing is; for tests. What is put off until
    /// then is due, what is out until then is taken back. Gives the number of parcels.
    pub async fn run_until_idle_at(&mut self, now: Timestamp) -> Result<usize, Error> {
        let mut carried = 0;
        loop {
            let mut turn = Turn::begin(&self.db, &self.ctx).await?;
            turn.reclaim(now).await?;
            turn.promote(now).await?;
            let catch = self.claim(&mut turn).await?;
            turn.commit().await?;
            let number = catch.parcels.len();
            self.take(catch);
            while self.carrying.join_next().await.is_some() {}
            self.note_all();
            carried += number;
            if number == 0 {
                return Ok(carried);
            }
        }
    }

    /// The same at the present time.
    pub async fn run_until_idle(&mut self) -> Result<usize, Error> {
        self.run_until_idle_at(self.ambient.now()).await
    }

    async fn run(mut self, mut stop: watch::Receiver<()>) {
        if self.config.sole {
            self.succeed_predecessor().await;
        }
        loop {
            let clock = self.clock();
            if Instant::now() < clock {
                tokio::select! {
                    Some(freed) = self.freed.recv() => self.note(&freed),
                    () = self.db.parcel_wake().heard() => self.pace.hear(),
                    () = sleep_until(clock) => {}
                    _ = stop.changed() => break,
                }
            }
            if stop.has_changed().unwrap_or(true) {
                break;
            }
            self.note_all();
            while self.carrying.try_join_next().is_some() {}
            if self.clock() <= Instant::now()
                && let Err(error) = self.turn().await
            {
                let error = run::chain(&error);
                tracing::warn!(error, "parcels cannot be reached; trying again");
                self.pace.hear();
                sleep(PAUSE).await;
            }
        }
        self.wind_up().await;
    }

    /// When there is something to do next.
    fn clock(&self) -> Instant {
        let claim = self.pace.next().filter(|_| self.space() > 0);
        claim.into_iter().fold(self.due.min(self.upkeep), Instant::min)
    }

    fn space(&self) -> usize {
        self.config.under_way.saturating_sub(self.total)
    }

    fn note(&mut self, freed: &Freed) {
        self.total = self.total.saturating_sub(freed.number);
        if let Some(held) = self.held.get_mut(&freed.tenant) {
            *held = held.saturating_sub(freed.number);
            if *held == 0 {
                self.held.remove(&freed.tenant);
            }
        }
        self.pace.free();
        if let Some(at) = freed.due {
            self.due = self.due.min(self.instant(at));
        }
    }

    fn note_all(&mut self) {
        while let Ok(freed) = self.freed.try_recv() {
            self.note(&freed);
        }
    }

    fn instant(&self, at: Timestamp) -> Instant {
        let wait = at.duration_since(self.ambient.now());
        Instant::now() + Duration::try_from(wait).unwrap_or(Duration::ZERO)
    }

    async fn turn(&mut self) -> Result<(), Error> {
        let (clock, now) = (Instant::now(), self.ambient.now());
        let (due, upkeep) = (self.due <= clock, self.upkeep <= clock);
        let mut turn = Turn::begin(&self.db, &self.ctx).await?;
        if upkeep {
            turn.reclaim(now).await?;
        }
        let mut next_due = None;
        if due {
            turn.promote(now).await?;
            next_due = turn.find_next_due().await?;
        }
        let catch = self.claim(&mut turn).await?;
        turn.commit().await?;
        self.pace.claimed(Instant::now(), clock.elapsed(), catch.seen(self.most()));
        if due {
            let poll = clock + Duration::from_millis(self.config.poll_ms.max(1));
            self.due = next_due.map_or(poll, |at| self.instant(at).min(poll)).max(clock + TICK);
        }
        if upkeep {
            self.upkeep = clock + UPKEEP;
            self.tell();
        }
        self.take(catch);
        Ok(())
    }

    /// How many one claim may take now.
    fn most(&self) -> usize {
        self.space().min(CLAIM)
    }

    async fn claim(&self, turn: &mut Turn) -> Result<Catch, Error> {
        let until = later(self.ambient.now(), Duration::from_millis(self.config.lease_ms));
        let holders = self.held.len();
        let share = |holders: usize| self.config.under_way / (holders + 1);
        let rooms: Vec<(Uuid, usize)> = self
            .held
            .iter()
            .map(|(tenant, held)| (*tenant, share(holders).max(1).saturating_sub(*held)))
            .collect();
        let want = Want {
            number: self.most(),
            after: self.after,
            rooms: &rooms,
            room: share(holders + 1).max(1),
            lease: self.ambient.uuid(),
            until,
        };
        turn.claim(&want).await
    }

    /// Hands what was claimed to the carrier, a tenant at a time.
    fn take(&mut self, catch: Catch) {
        self.after = catch.after.unwrap_or(self.after);
        let mut of_tenants: HashMap<Uuid, Vec<Parcel>> = HashMap::new();
        for (tenant, parcel) in catch.parcels {
            of_tenants.entry(tenant).or_default().push(parcel);
        }
        for (tenant, parcels) in of_tenants {
            *self.held.entry(tenant).or_default() += parcels.len();
            self.total += parcels.len();
            self.carry(tenant, parcels);
        }
    }

    fn carry(&mut self, tenant: Uuid, parcels: Vec<Parcel>) {
        let left = Arc::new(AtomicUsize::new(parcels.len()));
        let desk = Desk { tenant, left, freed: self.freeing.clone() };
        let ctx = self.ctx.enter(TenantId::from_uuid(tenant), Grants::NONE);
        let (db, carrier, tenants) = (self.db.clone(), self.carrier.clone(), self.tenants.clone());
        let work = async move {
            let closing = desk.clone();
            if let Some(until) = stopped(tenants.as_deref(), &ctx, db.ambient()).await {
                put_off(&db, &ctx, &parcels, until, &desk).await;
            } else {
                carrier.carry(ctx, parcels, desk).await;
            }
            closing.close();
        };
        self.carrying.spawn(Precedence::make_way(work));
    }

    /// Sets the gauges. What waits is counted beside the work: with a large backlog that takes
    /// longer than a delivery should wait, and the next time is the later.
    fn tell(&mut self) {
        let under_way = u32::try_from(self.total).unwrap_or(u32::MAX);
        metrics::gauge!("misy_parcels", "state" => "out").set(under_way);
        while let Some(Ok(took)) = self.telling.try_join_next() {
            self.tell_from = Instant::now() + SELDOM * took;
        }
        if self.telling.is_empty() && self.tell_from <= Instant::now() {
            let (db, ctx, now) = (self.db.clone(), self.ctx.clone(), self.ambient.now());
            self.telling.spawn(async move {
                let begun = Instant::now();
                tell(&db, &ctx, now).await;
                begun.elapsed()
            });
        }
    }

    async fn succeed_predecessor(&self) {
        let work = async {
            let mut turn = Turn::begin(&self.db, &self.ctx).await?;
            while turn.reclaim(Timestamp::MAX).await? > 0 {}
            turn.commit().await
        };
        if let Err(error) = work.await {
            tracing::warn!(error = run::chain(&error), "what was out waits for its lease");
        }
    }

    /// What does not end in time is left to its lease: it may have arrived, so it counts.
    async fn wind_up(mut self) {
        let drain = async { while self.carrying.join_next().await.is_some() {} };
        let patience = Duration::from_millis(self.config.drain_ms);
        if timeout(patience, drain).await.is_err() {
            tracing::warn!("parcels that are under way are left to their leases");
        }
    }
}

/// Until when a tenant's parcels have to wait that is not active, or of which that is not known.
async fn stopped(tenants: Option<&dyn Tenants>, ctx: &Ctx, ambient: &Ambient) -> Option<Timestamp> {
    let active = tenants?.is_active(ctx.tenant()).await;
    (!active.unwrap_or(false)).then(|| later(ambient.now(), STOPPED))
}

async fn put_off(db: &Db, ctx: &Ctx, parcels: &[Parcel], at: Timestamp, desk: &Desk) {
    let back: Vec<_> = parcels.iter().map(|parcel| (parcel, super::Fate::Back { at })).collect();
    let work = async {
        let mut tx = db.tenant_lightly(ctx).await?;
        super::settle(&mut tx, &back).await?;
        tx.commit().await
    };
    match work.await {
        Ok(()) => desk.settled(parcels.len(), Some(at)),
        Err(error) => tracing::warn!(error = run::chain(&error), "parcels were not put off"),
    }
}

/// Tells how many wait and for how long. A failure to count is no news: the next turn meets it too.
async fn tell(db: &Db, ctx: &PlatformCtx, now: Timestamp) {
    let Ok(waiting) = super::count(db, ctx, COUNTED).await else { return };
    let gauge = |state: &'static str, number: i64| {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        metrics::gauge!("misy_parcels", "state" => state).set(number);
    };
    gauge("ready", waiting.ready);
    gauge("later", waiting.later);
    let age = |of: &'static str, since: Option<Timestamp>| {
        let age = since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        metrics::gauge!("misy_parcels_oldest_seconds", "of" => of).set(age.max(0.0));
    };
    age("all", waiting.oldest);
    age("first_tries", waiting.oldest_first);
}
