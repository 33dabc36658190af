//! Room `jobs`: whatever workers, enqueuers and crashes do in whatever order, lanes hold.
//!
//! Turns exclude one another, so a sequence of turns with late commits between them is all that can
//! happen; here it is made at random and looked at after each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use misy_core::{Ctx, Role};
use misy_store::TenantTx;
use misy_testkit::{HandClock, TestDatabase, ambient_with};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{Job, JobError, envelope};

const LEASE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
struct Step {
    lane: u8,
}

impl Job for Step {
    const NAME: &'static str = "tests.step";
    type Deps = ();

    fn lane(&self) -> Option<String> {
        (self.lane > 0).then(|| self.lane.to_string())
    }

    async fn run(self, _ctx: Ctx, _deps: Arc<()>) -> Result<(), JobError> {
        Ok(())
    }
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// A transaction takes an id for a job of a lane and is not committed yet.
    Open { tenant: u8, lane: u8 },
    /// One of the open transactions is committed, not always the oldest.
    Commit(u8),
    /// A worker claims.
    Claim(u8),
    /// One of the claimed jobs ends.
    Settle(u8, End),
    /// One of the claimed jobs is forgotten by its worker, who may come back with it too late.
    Crash(u8),
    /// Leases run out and what is due becomes ready.
    Wait,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Done,
    Retry,
    Park,
    GiveBack,
    Bury,
}

fn event() -> impl Strategy<Value = Event> {
    let end = prop::sample::select(
        &[End::Done, End::Done, End::Retry, End::Park, End::GiveBack, End::Bury][..],
    );
    prop_oneof![
        4 => (0..2u8, 0..3u8).prop_map(|(tenant, lane)| Event::Open { tenant, lane }),
        4 => any::<u8>().prop_map(Event::Commit),
        4 => (1..5u8).prop_map(Event::Claim),
        6 => (any::<u8>(), end).prop_map(|(which, end)| Event::Settle(which, end)),
        1 => any::<u8>().prop_map(Event::Crash),
        1 => Just(Event::Wait),
    ]
}

struct Model {
    db: Db,
    ctx: PlatformCtx,
    clock: HandClock,
    open: Vec<TenantTx>,
    claimed: Vec<Claimed>,
    forgotten: Vec<Claimed>,
    after: Uuid,
    committed: usize,
    ended: usize,
}

impl Model {
    async fn new(database: &TestDatabase) -> Self {
        let clock = HandClock::default();
        let db = database.db(ambient_with(&clock, 1));
        let mut tx = db.platform(&misy_testkit::platform_ctx()).await.expect("it opens");
        tx.execute("delete from jobs", &[]).await.expect("it empties");
        tx.execute("delete from dead_letters", &[]).await.expect("it empties");
        tx.commit().await.expect("it commits");
        Self {
            ctx: envelope::keeper(db.ambient()),
            db,
            clock,
            open: Vec::new(),
            claimed: Vec::new(),
            forgotten: Vec::new(),
            after: START,
            committed: 0,
            ended: 0,
        }
    }

    async fn apply(&mut self, event: &Event) -> Result<(), Error> {
        match event {
            Event::Open { tenant, lane } if self.open.len() < 5 => {
                let tenant = TenantId::from_uuid(Uuid::from_u128(u128::from(*tenant) + 1));
                let mut tx = self.db.tenant(&misy_testkit::ctx(tenant, Role::Agent)).await?;
                Step { lane: *lane }.enqueue(&mut tx);
                self.open.push(tx);
            }
            Event::Commit(which) if !self.open.is_empty() => {
                let at = usize::from(*which) % self.open.len();
                self.open.remove(at).commit().await?;
                self.committed += 1;
            }
            Event::Claim(number) => self.claim(usize::from(*number)).await?,
            Event::Settle(which, end) if !self.claimed.is_empty() => {
                let at = usize::from(*which) % self.claimed.len();
                let job = self.claimed.remove(at);
                let stale = self.settle(job, *end).await?;
                assert_eq!(stale, 0, "a job that is held can be settled");
            }
            Event::Crash(which) if !self.claimed.is_empty() => {
                let at = usize::from(*which) % self.claimed.len();
                let job = self.claimed.remove(at);
                self.forgotten.push(job);
            }
            Event::Wait => self.wait().await?,
            Event::Open { .. } | Event::Commit(_) | Event::Settle(..) | Event::Crash(_) => {}
        }
        Ok(())
    }

    async fn claim(&mut self, number: usize) -> Result<(), Error> {
        let now = self.db.ambient().now();
        let lease = self.db.ambient().uuid();
        let until = later(now, LEASE);
        let want = Want { number, after: self.after, rooms: &[], room: number, lease, until };
        let mut turn = Turn::begin(&self.db, &self.ctx).await?;
        let catch = turn.claim(&want).await?;
        turn.commit().await?;
        self.after = catch.after.unwrap_or(self.after);
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let earlier = "select from jobs where owner = $1 and lane = $2 and id < $3";
        for Hold { id, owner, lane, .. } in catch.jobs.iter().map(|job| &job.hold) {
            let earlier = tx.query(earlier, &[owner, lane, &id.uuid()]).await?;
            assert_eq!(earlier.len(), 0, "claimed before its turn in lane {lane:?}");
        }
        self.claimed.extend(catch.jobs);
        Ok(())
    }

    async fn settle(&mut self, job: Claimed, end: End) -> Result<u64, Error> {
        let at = later(self.db.ambient().now(), Duration::from_secs(5));
        let outcome = match end {
            End::Done => Outcome::Done,
            End::Retry => Outcome::Retry { at, error: "busy".into() },
            End::Park => Outcome::Park { until: at },
            End::GiveBack => Outcome::GiveBack,
            End::Bury => Outcome::Bury { at, error: "no".into() },
        };
        let ends = matches!(end, End::Done | End::Bury);
        let mut turn = Turn::begin(&self.db, &self.ctx).await?;
        let stale = turn.settle(&[Settled { hold: job.hold, outcome }]).await?;
        turn.commit().await?;
        self.ended += usize::from(ends && stale == 0);
        Ok(stale)
    }

    /// Leases of the living are renewed, those of the dead run out, and the dead come back too
    /// late.
    async fn wait(&mut self) -> Result<(), Error> {
        self.clock.advance_ms(31_000);
        let now = self.db.ambient().now();
        let mut turn = Turn::begin(&self.db, &self.ctx).await?;
        let held = self.claimed.iter().map(|job| (job.hold.id, job.hold.lease));
        let kept = turn.renew(held, later(now, LEASE)).await?;
        assert_eq!(kept.len(), self.claimed.len());
        let reclaimed = turn.reclaim(now).await?;
        assert_eq!(reclaimed, self.forgotten.len());
        turn.promote(now).await?;
        turn.commit().await?;
        for late in std::mem::take(&mut self.forgotten) {
            assert_eq!(self.settle(late, End::Done).await?, 1, "a stale lease settles nothing");
        }
        Ok(())
    }

    /// The states of each lane's jobs, in order.
    async fn lanes(&self) -> Result<BTreeMap<(Uuid, String), Vec<String>>, Error> {
        let mut tx = self.db.platform_read(&self.ctx).await?;
        let sql = "select owner, lane, state from jobs where lane is not null order by id";
        let mut lanes: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for row in tx.query(sql, &[]).await? {
            lanes.entry((row.get("owner"), row.get("lane"))).or_default().push(row.get("state"));
        }
        Ok(lanes)
    }

    async fn check(&self) -> Result<(), Error> {
        for (lane, states) in self.lanes().await? {
            let running = states.iter().filter(|state| *state == "running").count();
            assert!(running <= 1, "two jobs of a lane run: {lane:?} {states:?}");
            let stuck = states.iter().any(|state| state == "blocked");
            let stuck = stuck && running == 0 && states[0] == "blocked";
            assert!(!stuck, "nothing will free the lane: {lane:?} {states:?}");
        }
        Ok(())
    }

    /// Works off what is left, in the order of ids within each lane.
    async fn finish(&mut self) -> Result<(), Error> {
        while !self.open.is_empty() {
            self.apply(&Event::Commit(0)).await?;
        }
        while self.ended < self.committed {
            let before = self.ended;
            self.wait().await?;
            self.claim(10).await?;
            for job in std::mem::take(&mut self.claimed) {
                self.settle(job, End::Done).await?;
            }
            assert!(self.ended > before, "{:?} and nothing moves", self.lanes().await?);
        }
        assert!(self.lanes().await?.is_empty());
        Ok(())
    }
}

/// Nothing is forgotten, nothing overlaps, nothing is stuck; each failure shrinks to few events.
#[test]
fn lanes_hold_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let database = runtime.block_on(TestDatabase::create());
    let config =
        ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(events in prop::collection::vec(event(), 1..120))| {
        runtime.block_on(async {
            let mut model = Model::new(&database).await;
            for event in &events {
                model.apply(event).await.expect("the database answers");
                model.check().await.expect("the database answers");
            }
            model.finish().await.expect("the database answers");
        });
    });
}

/// The rank of a tenant's first job comes before that of any second one, round after round.
#[tokio::test]
async fn claims_go_round_the_tenants() {
    let database = TestDatabase::create().await;
    let mut model = Model::new(&database).await;
    for _ in 0..6 {
        for tenant in 0..3 {
            model.apply(&Event::Open { tenant, lane: 0 }).await.expect("it opens");
            model.apply(&Event::Commit(0)).await.expect("it commits");
        }
    }
    let mut served = Vec::new();
    for _ in 0..9 {
        model.claim(2).await.expect("it claims");
        served.extend(model.claimed.drain(..).map(|job| job.hold.owner.as_u128()));
    }
    let rounds: Vec<Vec<u128>> = served.chunks(3).map(<[u128]>::to_vec).collect();
    assert_eq!(rounds, vec![vec![1, 2, 3]; 6]);
}

/// Pages that a statement touches, by its own account.
async fn pages(turn: &mut Turn, sql: &str, params: &[&(dyn ToSql + Sync)]) -> i64 {
    let explain = format!("explain (analyze, buffers, format json) {sql}");
    let rows = turn.0.query(&explain, params).await.expect("it is explained");
    let plan: serde_json::Value = rows[0].get(0);
    let blocks = |name: &str| plan[0]["Plan"][name].as_i64().expect("a number");
    blocks("Shared Hit Blocks") + blocks("Shared Read Blocks")
}

/// A tenant with a backlog, and then a lane as long; and one that came with ten jobs after the
/// server had last gathered statistics, which therefore say that every job is the first one's.
async fn with_backlog(database: &TestDatabase) {
    let fill = |tenant: u8, state: &str, lane: &str, numbers: &str| {
        format!(
            "insert into jobs (id, tenant_id, state, name, lane, payload, envelope)
             select lpad(to_hex(n), 32, '0')::uuid, lpad('{tenant}', 32, '0')::uuid, '{state}',
                 'tests.step', {lane}, '{{}}', '{{}}'
             from generate_series({numbers}) n"
        )
    };
    #[expect(clippy::disallowed_methods, reason = "only the owner may gather statistics")]
    let connecting = database.superuser().connect(tokio_postgres::NoTls);
    let (client, connection) = connecting.await.expect("it connects");
    let work = async move {
        client.batch_execute(&fill(1, "ready", "null", "1, 40000")).await?;
        client.batch_execute("vacuum (analyze) jobs").await?;
        client.batch_execute(&fill(2, "blocked", "'long'", "40001, 60000")).await?;
        client.batch_execute(&fill(3, "ready", "null", "60001, 60010")).await
    };
    futures_util::try_join!(work, connection).expect("it fills");
}

#[tokio::test]
async fn neither_a_backlog_nor_a_long_lane_makes_a_turn_read_more() {
    let database = TestDatabase::create().await;
    let model = Model::new(&database).await;
    with_backlog(&database).await;
    let (nobody, anybody) = (Vec::<Uuid>::new(), Vec::<i32>::new());
    let (lease, until) = (model.db.ambient().uuid(), model.db.ambient().now());
    let mut turn = Turn::begin(&model.db, &model.ctx).await.expect("it begins");
    let claim: [&(dyn ToSql + Sync); 10] =
        [&START, &VISITS, &20i64, &nobody, &anybody, &20i32, &lease, &until, &LEAST, &GREATEST];
    let claimed = pages(&mut turn, CLAIM, &claim).await;
    assert!(claimed < 2_000, "a claim of 20 jobs touched {claimed} pages");
    let (owners, lanes) = (vec![Uuid::from_u128(2)], vec!["long"]);
    let freeing = pages(&mut turn, FREE_LANES, &[&owners, &lanes, &LEAST, &GREATEST]).await;
    assert!(freeing < 50, "freeing a lane touched {freeing} pages");
    let healing = [&Uuid::nil() as _, &"" as _, &SWEEP as _, &LEAST as _, &GREATEST as _];
    let healing = pages(&mut turn, HEAL, &healing).await;
    assert!(healing < 100, "a sweep over one lane touched {healing} pages");
}
