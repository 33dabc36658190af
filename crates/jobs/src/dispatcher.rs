//! Room `jobs`: the loop of a started worker. It alone talks with the queue; jobs run beside it and
//! tell it how they ended.
//!
//! All it has to say goes into one turn: what has ended since the last one, what is due, what is
//! claimed anew. While a turn is under way more jobs end, so the busier it is, the more a turn
//! carries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use misy_core::{Ambient, JobId, PlatformCtx, Timestamp};
use misy_store::{Db, Error, Precedence};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use crate::outcome::{Claimed, Hold, Outcome, Settled, later};
use crate::slots::Slots;
use crate::store::{self, Catch, LanePlace, START, Turn, Want};
use crate::worker::{Config, Worker};
use crate::{Registry, envelope, run, tasks};

/// Jobs of one claim. More would hold the turn for long, fewer would make each dear.
const CLAIM: usize = 500;

/// How long to leave the database alone that has just failed.
const PAUSE: Duration = Duration::from_millis(200);

/// How often to ask what is due while new jobs keep coming.
const GLANCE: Duration = Duration::from_millis(100);

/// What is due sooner than this is due now, or a wait would be shorter than a turn.
const TICK: Duration = Duration::from_millis(2);

/// Turns in which a stopped worker tries to say its last.
const LAST_TRIES: usize = 5;

/// Jobs that are counted for the gauge; beyond that it stands still.
const COUNTED: i64 = 10_000;

/// Jobs under way that are enough to keep the machine busy while the queue rests.
const ENOUGH: usize = 8;

/// A turn that carries fewer ends is no sign that many jobs end: after it nothing rests.
const MANY_ENDS: usize = 3;

/// How long the queue rests after a turn, in lengths of that turn, and at most: what ends in the
/// meantime shares the next turn, whose cost hardly grows with it.
const REST: u32 = 2;
const REST_MAX: Duration = Duration::from_millis(20);

/// Jobs that run while a burst of deliveries goes first: few, but never none.
const BESIDE_A_BURST: usize = 2;

/// A job that runs in this process.
struct Started {
    hold: Hold,
    task: JoinHandle<()>,
}

/// When to do what is done by the clock.
struct Agenda {
    /// Until when the queue rests if enough is under way.
    rest: Instant,
    due: Instant,
    /// When it was last asked what is due.
    looked: Instant,
    upkeep: Instant,
    schedule: Instant,
}

/// What a turn is to do beside saying what has ended.
struct Plan {
    clock: Instant,
    due: bool,
    upkeep: bool,
    schedule: bool,
    claim: bool,
}

impl Plan {
    fn is_empty(&self) -> bool {
        !(self.due || self.upkeep || self.schedule || self.claim)
    }
}

/// What a turn has brought.
#[derive(Default)]
struct News {
    /// Ended jobs that were no longer held.
    stale: u64,
    /// Jobs that are still held.
    kept: Vec<JobId>,
    healed: i64,
    reclaimed: usize,
    swept: Option<LanePlace>,
    next_due: Option<Timestamp>,
    catch: Catch,
}

pub(crate) struct Dispatcher {
    db: Db,
    registry: Arc<Registry>,
    config: Config,
    ambient: Ambient,
    ctx: PlatformCtx,
    slots: Slots<Claimed>,
    started: HashMap<JobId, Started>,
    settled: Vec<Settled>,
    ended: mpsc::UnboundedReceiver<Settled>,
    ending: mpsc::UnboundedSender<Settled>,
    agenda: Agenda,
    /// The tenant behind which the next claim starts.
    after: Uuid,
    /// The lane behind which the next sweep starts.
    swept: LanePlace,
    /// Whether the queue may hold something that could be claimed.
    hungry: bool,
}

impl Dispatcher {
    pub(crate) fn new(worker: Worker) -> Self {
        let Worker { db, registry, config, ambient } = worker;
        let (ending, ended) = mpsc::unbounded_channel();
        let now = Instant::now();
        Self {
            ctx: envelope::keeper(&ambient),
            slots: Slots::new(config.concurrency, config.prefetch),
            db,
            registry,
            config,
            ambient,
            started: HashMap::new(),
            settled: Vec::new(),
            ended,
            ending,
            agenda: Agenda { rest: now, due: now, looked: now, upkeep: now, schedule: now },
            after: START,
            swept: LanePlace::default(),
            hungry: true,
        }
    }

    /// Works until told to stop, then winds up.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<()>) {
        if self.config.sole {
            self.succeed_predecessor().await;
        }
        loop {
            self.start_waiting();
            if self.may_rest() {
                tokio::select! {
                    Some(settled) = self.ended.recv() => self.note(settled),
                    () = sleep_until(self.agenda.rest) => {}
                    _ = stop.changed() => break,
                }
                continue;
            }
            if !self.may_claim() {
                let clock = self.agenda.due.min(self.agenda.upkeep).min(self.agenda.schedule);
                tokio::select! {
                    Some(settled) = self.ended.recv() => self.note(settled),
                    () = self.db.wake().heard() => {
                        self.hungry = true;
                        self.agenda.due = self.agenda.due.min(self.agenda.looked + GLANCE);
                    }
                    () = sleep_until(clock) => {}
                    () = self.db.precedence().over(), if self.holds_back() => {}
                    _ = stop.changed() => break,
                }
            }
            if stop.has_changed().unwrap_or(true) {
                break;
            }
            self.turn_or_pause(true).await;
        }
        self.wind_up().await;
    }

    fn may_rest(&self) -> bool {
        self.started.len() >= ENOUGH && Instant::now() < self.agenda.rest
    }

    fn may_claim(&self) -> bool {
        self.hungry && self.slots.wanted() > 0 && !self.holds_back()
    }

    /// Whether enough is under way while a burst of deliveries goes first.
    fn holds_back(&self) -> bool {
        self.started.len() >= BESIDE_A_BURST && self.db.precedence().is_pressed()
    }

    /// Starts what waits for a place.
    fn start_waiting(&mut self) {
        while !self.holds_back() {
            let Some(job) = self.slots.start() else { return };
            let hold = job.hold.clone();
            let (registry, ambient) = (Arc::clone(&self.registry), self.ambient.clone());
            let ending = self.ending.clone();
            let task = tasks::spawn(async move {
                let settled = Precedence::make_way(run::attempt(job, &registry, &ambient)).await;
                // Nobody listens only if the dispatcher is gone, and then the lease runs out.
                let _ = ending.send(settled);
            });
            self.started.insert(hold.id, Started { hold, task });
        }
    }

    /// Takes in how a job ended, unless it was taken from this process meanwhile.
    fn note(&mut self, settled: Settled) {
        let ours = |started: &Started| started.hold.lease == settled.hold.lease;
        if !self.started.get(&settled.hold.id).is_some_and(ours) {
            return;
        }
        self.started.remove(&settled.hold.id);
        self.hungry |= self.slots.finish(settled.hold.owner);
        self.settled.push(settled);
    }

    fn note_all(&mut self) {
        while let Ok(settled) = self.ended.try_recv() {
            self.note(settled);
        }
    }

    async fn turn_or_pause(&mut self, claiming: bool) {
        self.note_all();
        let (begun, many) = (Instant::now(), self.settled.len() >= MANY_ENDS);
        let turned = self.turn(claiming).await;
        let rest = if many { (begun.elapsed() * REST).min(REST_MAX) } else { Duration::ZERO };
        self.agenda.rest = Instant::now() + rest;
        let Err(error) = turned else { return };
        tracing::warn!(error = run::chain(&error), "the queue cannot be reached; trying again");
        self.hungry = true;
        sleep(PAUSE).await;
    }

    /// Says and asks everything there is to say and ask. On an error nothing of it has happened, or
    /// all of it, and then it is said again, which changes nothing.
    async fn turn(&mut self, claiming: bool) -> Result<(), Error> {
        let plan = self.plan(claiming);
        if self.settled.is_empty() && plan.is_empty() {
            return Ok(());
        }
        let mut turn = Turn::begin(&self.db, &self.ctx).await?;
        let mut news = News {
            stale: turn.settle(&self.settled).await?,
            ..self.keep_up(&mut turn, &plan).await?
        };
        if plan.claim {
            let (rooms, room) = self.slots.rooms();
            let want = Want {
                number: self.slots.wanted().min(CLAIM),
                after: self.after,
                rooms: &rooms,
                room,
                lease: self.ambient.uuid(),
                until: self.lease_until(),
            };
            news.catch = turn.claim(&want).await?;
        }
        turn.commit().await?;
        self.take_in(&plan, news).await;
        Ok(())
    }

    fn plan(&self, claiming: bool) -> Plan {
        let clock = Instant::now();
        let due = self.agenda.due <= clock;
        let freed = self.settled.iter().any(|settled| settled.hold.lane.is_some());
        // In a burst each of its commits makes this hungry, and what is claimed would only wait.
        let eager = (self.hungry || freed) && !self.holds_back();
        Plan {
            clock,
            due,
            upkeep: self.agenda.upkeep <= clock,
            schedule: claiming && self.agenda.schedule <= clock,
            claim: claiming && self.slots.wanted() > 0 && (due || eager),
        }
    }

    fn lease_until(&self) -> Timestamp {
        later(self.ambient.now(), Duration::from_millis(self.config.lease_ms))
    }

    /// What the clock wants.
    async fn keep_up(&self, turn: &mut Turn, plan: &Plan) -> Result<News, Error> {
        let now = self.ambient.now();
        let mut news = News::default();
        if plan.upkeep {
            news.kept = turn.renew(self.held(), self.lease_until()).await?;
            let (healed, place) = turn.heal(&self.swept).await?;
            news.healed = healed;
            news.swept = place;
            news.reclaimed = turn.reclaim(now).await?;
        }
        if plan.schedule {
            turn.schedule(self.registry.schedules(), now).await?;
        }
        if plan.due {
            turn.promote(now).await?;
            news.next_due = turn.find_next_due().await?;
        }
        Ok(news)
    }

    /// Everything that this process has a lease of.
    fn held(&self) -> impl Iterator<Item = (JobId, Uuid)> {
        let waiting = self.slots.waiting().map(|job| &job.hold);
        let running = self.started.values().map(|started| &started.hold);
        waiting.chain(running).map(|hold| (hold.id, hold.lease))
    }

    /// Takes note of what a turn has brought.
    async fn take_in(&mut self, plan: &Plan, news: News) {
        if news.stale > 0 {
            metrics::counter!("misy_jobs_stale_total").increment(news.stale);
        }
        let soonest = self.settled.iter().filter_map(|settled| settled.outcome.again_at()).min();
        self.settled.clear();
        self.hungry = if plan.claim { news.catch.found_any() } else { self.hungry };
        let now = self.ambient.now();
        if plan.due {
            self.agenda.due = plan.clock + Duration::from_millis(self.config.poll_ms);
            self.agenda.looked = plan.clock;
        }
        for at in soonest.into_iter().chain(news.next_due) {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            self.agenda.due = self.agenda.due.min(plan.clock + wait.max(TICK));
        }
        if plan.schedule {
            let schedules = self.registry.schedules().iter();
            let next = schedules.map(|schedule| schedule.until_next(now)).min();
            self.agenda.schedule = plan.clock + next.unwrap_or(Duration::from_hours(1));
            self.hungry = true;
        }
        if plan.upkeep {
            self.agenda.upkeep = plan.clock + Duration::from_millis(self.config.lease_ms / 3);
            self.swept = news.swept.unwrap_or_default();
            self.hungry |= news.reclaimed > 0 || news.healed > 0;
            self.let_go(&news.kept.into_iter().collect()).await;
            self.measure(news.reclaimed, news.healed).await;
        }
        self.after = news.catch.after.unwrap_or(self.after);
        for job in news.catch.jobs {
            self.slots.put(job.hold.owner, job);
        }
    }

    /// Stops work on what another process has taken over: this one was silent for too long.
    async fn let_go(&mut self, kept: &HashSet<JobId>) {
        let lost: Vec<JobId> =
            self.started.keys().copied().filter(|id| !kept.contains(id)).collect();
        for id in lost {
            let Some(started) = self.started.remove(&id) else { continue };
            stop_task(started.task).await;
            self.slots.finish(started.hold.owner);
        }
        drop(self.slots.give_up(|job| kept.contains(&job.hold.id)));
    }

    /// Sets the gauges. A failure to count is no news: the next turn meets it too.
    async fn measure(&self, reclaimed: usize, healed: i64) {
        if reclaimed > 0 || healed > 0 {
            tracing::warn!(reclaimed, healed, "jobs taken back from workers that went away");
        }
        metrics::counter!("misy_jobs_reclaimed_total").increment(reclaimed as u64);
        metrics::gauge!("misy_jobs_running").set(u32::try_from(self.slots.running()).unwrap_or(0));
        if let Ok(ready) = store::count_ready(&self.db, &self.ctx, COUNTED).await {
            metrics::gauge!("misy_jobs_ready").set(u32::try_from(ready).unwrap_or(0));
        }
    }

    /// Takes back what a predecessor held that died.
    async fn succeed_predecessor(&self) {
        let taken = async {
            let mut turn = Turn::begin(&self.db, &self.ctx).await?;
            let reclaimed = turn.reclaim(Timestamp::MAX).await?;
            turn.commit().await.map(|()| reclaimed)
        };
        match taken.await {
            Ok(0) => {}
            Ok(reclaimed) => tracing::info!(reclaimed, "jobs of the last run taken back"),
            Err(error) => tracing::warn!(error = run::chain(&error), "left to their leases"),
        }
    }

    /// Gives back what waits, lets finish what runs, and gives back what runs for too long.
    async fn wind_up(mut self) {
        let deadline = Instant::now() + Duration::from_millis(self.config.drain_ms);
        let waiting = self.slots.give_up(|_| false);
        self.settled.extend(waiting.into_iter().map(|job| give_back(job.hold)));
        self.turn_or_pause(false).await;
        while !self.started.is_empty() && Instant::now() < deadline {
            let clock = self.agenda.upkeep.min(deadline);
            tokio::select! {
                Some(settled) = self.ended.recv() => self.note(settled),
                () = sleep_until(clock) => {}
            }
            self.turn_or_pause(false).await;
        }
        let left: Vec<JobId> = self.started.keys().copied().collect();
        for id in left {
            let Some(started) = self.started.remove(&id) else { continue };
            stop_task(started.task).await;
            self.settled.push(give_back(started.hold));
        }
        for _ in 0..LAST_TRIES {
            if self.settled.is_empty() {
                break;
            }
            self.turn_or_pause(false).await;
        }
    }
}

fn give_back(hold: Hold) -> Settled {
    Settled { hold, outcome: Outcome::GiveBack }
}

/// Cancels a job's work and waits until it has let go of what it holds; a moment at most, for work
/// that never awaits cannot be cancelled.
async fn stop_task(task: JoinHandle<()>) {
    task.abort();
    let _ = timeout(PAUSE, task).await;
}
