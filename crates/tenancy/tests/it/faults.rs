//! Room `tenancy`: whatever fails while a tenant is made or removed, afterwards all of it is there
//! or nothing. Every kind of fault at every step, with the tenant's rows in PostgreSQL, its
//! collections in MongoDB and its user in Redis.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use misy_core::crypto::Key;
use misy_core::{Ctx, Personal, Secret, TenantId};
use misy_jobs::provision::{Found, Promise, Provision, Step, StepError, TenantSeed};
use misy_jobs::{Registry, Retry, Worker};
use misy_store::documents::mongo::{Mongo, MongoConfig};
use misy_store::{Cache, Db, Documents, Kind, TenantTx};
use misy_tenancy::tenants::model::{Brand, NewOwner, NewTenant, Placement, Status};
use misy_tenancy::{Base, Deps, Directory, Keys, inventories, lifecycles, tenants};
use misy_testkit::{HandClock, TestDatabase, TestMongo, TestRedis, ambient_with, platform_ctx};
use tokio::sync::Notify;
use uuid::Uuid;

/// What goes wrong at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It fails and has done nothing.
    Before,
    /// It fails and has done it.
    After,
    /// Its process dies when it has done it and nobody has noted that.
    CrashBeforeLog,
    /// Its process dies when that is noted.
    CrashAfterLog,
    /// It is done twice.
    Twice,
    /// Another process takes over while it is at it, and then it goes on.
    TwoWorkers,
    /// It takes too long, and nobody knows whether it was done.
    TimeOut,
    /// It cannot be done, and on the way back it cannot be undone at first.
    UndoFails,
}

const FAULTS: [Fault; 8] = [
    Fault::Before,
    Fault::After,
    Fault::CrashBeforeLog,
    Fault::CrashAfterLog,
    Fault::Twice,
    Fault::TwoWorkers,
    Fault::TimeOut,
    Fault::UndoFails,
];

/// Which step fails how, and how far that is.
#[derive(Default)]
struct Script {
    step: Option<&'static str>,
    fault: Option<Fault>,
    /// The fault happens while a tenant is removed, not while it is made.
    undoing: bool,
    fired: u32,
    /// The process is dead: nothing it calls comes to an end.
    dead: bool,
}

#[derive(Default)]
struct Stage {
    script: Mutex<Script>,
    /// The step is at it.
    entered: Notify,
    /// It may go on.
    go: Notify,
}

/// What the fault wants of a step now.
enum Order {
    Plain,
    Fail { done: bool },
    Die,
    Twice,
    Linger,
    Late,
    Impossible,
}

impl Stage {
    fn set(&self, step: &'static str, fault: Fault, undoing: bool) {
        *self.script.lock().expect("no panic") =
            Script { step: Some(step), fault: Some(fault), undoing, ..Script::default() };
    }

    fn assert_happened(&self, what: &str) {
        assert!(self.script.lock().expect("no panic").fired > 0, "{what} never happened");
    }

    fn revive(&self) {
        self.script.lock().expect("no panic").dead = false;
    }

    /// A fault happens once; what follows is as it should be.
    fn order(&self, step: &'static str, undoing: bool) -> Order {
        let mut script = self.script.lock().expect("no panic");
        if script.dead {
            return Order::Die;
        }
        let Some(fault) = script.fault else { return Order::Plain };
        if fault == Fault::UndoFails {
            return script.undo_fails(step, undoing);
        }
        if script.step != Some(step) || script.undoing != undoing || script.fired > 0 {
            return Order::Plain;
        }
        script.fired = 1;
        match fault {
            Fault::Before => Order::Fail { done: false },
            Fault::After => Order::Fail { done: true },
            Fault::CrashBeforeLog => {
                script.dead = true;
                Order::Linger
            }
            Fault::CrashAfterLog => {
                // It ends well and is noted; the next call of this process never ends.
                script.dead = true;
                Order::Plain
            }
            Fault::Twice => Order::Twice,
            Fault::TwoWorkers => Order::Linger,
            Fault::TimeOut => Order::Late,
            Fault::UndoFails => Order::Plain,
        }
    }
}

impl Script {
    /// The first time it is impossible; the first undoing of it fails, the second does not.
    fn undo_fails(&mut self, step: &'static str, undoing: bool) -> Order {
        if self.step != Some(step) {
            return Order::Plain;
        }
        match (undoing, self.undoing, self.fired) {
            (false, false, 0) => {
                self.fired = 1;
                Order::Impossible
            }
            (true, false, 1) | (true, true, 0) => {
                self.fired = 2;
                Order::Fail { done: true }
            }
            _ => Order::Plain,
        }
    }
}

/// A part that fails as it is told.
struct Faulty {
    part: Arc<dyn Provision>,
    stage: Arc<Stage>,
}

impl Faulty {
    async fn run<F>(&self, undoing: bool, mut work: impl FnMut() -> F) -> Result<(), StepError>
    where
        F: Future<Output = Result<(), StepError>>,
    {
        match self.stage.order(self.part.name(), undoing) {
            Order::Plain => work().await,
            Order::Fail { done } => {
                if done {
                    work().await?;
                }
                Err(StepError::retry("as told"))
            }
            Order::Die => {
                self.stage.entered.notify_one();
                std::future::pending().await
            }
            Order::Twice => {
                work().await?;
                work().await
            }
            Order::Linger => {
                work().await?;
                self.stage.entered.notify_one();
                self.stage.go.notified().await;
                Ok(())
            }
            Order::Late => {
                work().await?;
                std::future::pending().await
            }
            Order::Impossible => {
                work().await?;
                Err(StepError::Impossible { faults: Vec::new(), source: "as told".into() })
            }
        }
    }
}

#[async_trait]
impl Step<TenantSeed> for Faulty {
    fn name(&self) -> &'static str {
        self.part.name()
    }

    fn is_elsewhere(&self) -> bool {
        self.part.is_elsewhere()
    }

    fn limit(&self) -> Duration {
        let script = self.stage.script.lock().expect("no panic");
        let late = script.fault == Some(Fault::TimeOut) && script.step == Some(self.part.name());
        if late { Duration::from_millis(700) } else { Duration::from_secs(50) }
    }

    fn retry(&self) -> Retry {
        self.part.retry()
    }

    async fn prepare(&self, seed: &TenantSeed) -> Result<Option<Secret>, StepError> {
        self.part.prepare(seed).await
    }

    /// Rows that a transaction wrote twice cannot be told from those it wrote once, so a second
    /// run is one after the first was committed: the fault `Twice` is for what lies elsewhere.
    async fn write(
        &self,
        tx: &mut TenantTx,
        seed: &TenantSeed,
        prepared: Option<Secret>,
    ) -> Result<(), StepError> {
        let order = self.stage.order(self.part.name(), false);
        if let Order::Die = order {
            self.stage.entered.notify_one();
            return std::future::pending().await;
        }
        if matches!(order, Order::Fail { done: false }) {
            return Err(StepError::retry("as told"));
        }
        self.part.write(tx, seed, prepared.clone()).await?;
        match order {
            Order::Fail { .. } => Err(StepError::retry("as told")),
            Order::Twice => self.part.write(tx, seed, prepared).await,
            Order::Linger => {
                self.stage.entered.notify_one();
                self.stage.go.notified().await;
                Ok(())
            }
            Order::Late => std::future::pending().await,
            Order::Impossible => {
                Err(StepError::Impossible { faults: Vec::new(), source: "as told".into() })
            }
            Order::Plain | Order::Die => Ok(()),
        }
    }

    async fn act(&self, ctx: &Ctx, key: Uuid, seed: &TenantSeed) -> Result<(), StepError> {
        self.run(false, || self.part.act(ctx, key, seed)).await
    }

    async fn undo(&self, ctx: &Ctx, key: Uuid) -> Result<(), StepError> {
        self.run(true, || self.part.undo(ctx, key)).await
    }
}

#[async_trait]
impl Provision for Faulty {
    async fn find(&self, ctx: &Ctx) -> Result<Vec<Found>, StepError> {
        self.part.find(ctx).await
    }

    fn wanted(&self, promise: &Promise) -> Vec<&'static str> {
        self.part.wanted(promise)
    }

    async fn repair(&self, ctx: &Ctx, promise: &Promise) -> Result<bool, StepError> {
        self.part.repair(ctx, promise).await
    }
}

const KINDS: [Kind; 2] = [Kind::new("notes", &["author"]), Kind::new("drafts", &[])];

/// The steps, in order. A test compares them with what the program says.
const STEPS: [&str; 4] =
    ["tenancy.foundation", "jobs.queue", "documents.collections", "cache.user"];

struct World {
    clock: HandClock,
    stage: Arc<Stage>,
    /// The process in which the fault happens.
    first: Process,
    /// The one that goes on when that has died.
    second: Process,
    redis: TestRedis,
}

struct Process {
    db: Db,
    cache: Cache,
    deps: Arc<Deps>,
}

impl World {
    async fn build() -> Self {
        let (database, clock) = (TestDatabase::create().await, HandClock::default());
        let (redis, mongo) = (TestRedis::start().await, TestMongo::create().await);
        let stage = Arc::<Stage>::default();
        let first = Process::start(&database, &clock, (&redis, &mongo), 1, Some(&stage)).await;
        let second = Process::start(&database, &clock, (&redis, &mongo), 2, None).await;
        Self { clock, stage, first, second, redis }
    }

    /// Lets time pass and has the second process do what there is to do, until the tenant stands
    /// where it can stay.
    async fn settle(&self, tenant: TenantId) -> Status {
        for _ in 0..12 {
            let status = self.second.status(tenant).await;
            if status.is_gone() || status == Status::Active {
                return status;
            }
            self.clock.advance_ms(400_000);
            self.second.work().await;
        }
        panic!("{tenant} never settles: {:?}", self.second.status(tenant).await)
    }
}

impl Process {
    async fn start(
        database: &TestDatabase,
        clock: &HandClock,
        (redis, mongo): (&TestRedis, &TestMongo),
        seed: u64,
        stage: Option<&Arc<Stage>>,
    ) -> Self {
        let ambient = ambient_with(clock, seed);
        let db = database.db(ambient.clone());
        let root = Key::new([5; 32]);
        let config = MongoConfig {
            url: Some(Secret::new(mongo.everyday_url())),
            provisioning_url: Some(Secret::new(mongo.provisioning_url())),
            ..MongoConfig::default()
        };
        let server = Mongo::open(&config, &root).await.expect("an address").expect("a server");
        let cache = redis.cache().await;
        let base = Base {
            db: db.clone(),
            system: platform_ctx(),
            keys: Arc::new(Keys::new(&root, ambient)),
            directory: Arc::new(Directory::new(db.clone(), platform_ctx())),
            cache: cache.clone(),
            documents: Documents::mongo(db.clone(), server),
            kinds: &KINDS,
            parts: Vec::new(),
            data: Vec::new(),
            front: crate::house::front(&Arc::default()),
            facts: Arc::<crate::house::Facts>::default(),
        };
        let deps = Deps::with(base, |part| match stage {
            Some(stage) => Arc::new(Faulty { part, stage: Arc::clone(stage) }),
            None => part,
        });
        Self { db, cache, deps: Arc::new(deps) }
    }

    async fn status(&self, tenant: TenantId) -> Status {
        let found = tenants::service::get(&self.deps, &platform_ctx(), tenant).await;
        found.expect("it is there").status
    }

    /// Does what is due.
    async fn work(&self) {
        let registry = misy_tenancy::jobs(Registry::new(), &self.deps);
        let config = misy_jobs::Config::default();
        let worker = Worker::new(self.db.clone(), registry, config, self.deps.ambient.clone());
        worker.run_schedules().await.expect("the database answers");
        worker.run_until_idle().await.expect("the database answers");
    }

    async fn assert_all_or_nothing(&self, tenant: TenantId, what: &str) {
        let inventory = inventories::service::look(&self.deps, &platform_ctx(), tenant).await;
        let inventory = inventory.expect("every store answers");
        assert!(inventory.is_sound(), "{what}: {inventory:#?}");
        let user = inventory.items.iter().find(|item| item.what == "user").expect("it is asked");
        let collections = inventory.items.iter().filter(|item| item.what.starts_with("collection"));
        let expected = if inventory.status == Status::Active { (1, 2) } else { (0, 0) };
        assert_eq!((user.count, collections.count()), expected, "{what}");
    }
}

fn wanted(slug: &str) -> NewTenant {
    NewTenant {
        slug: slug.to_owned(),
        name: "Acme".to_owned(),
        owner: NewOwner {
            email: Personal("ann@acme.example".to_owned()),
            name: Personal("Ann".to_owned()),
            password: None,
        },
        plan: "trial".to_owned(),
        locale: "en".to_owned(),
        time_zone: "UTC".to_owned(),
        business: serde_json::Map::new(),
        allowed_origins: Vec::new(),
        brand: Brand::default(),
        contacts: Vec::new(),
        placement: Placement::default(),
    }
}

/// Runs a piece of work of the first process: to its end, or until it dies, or until the second
/// has gone on with it and it may end too.
async fn run_first(
    world: &World,
    fault: Fault,
    tenant: impl AsyncFn() -> TenantId,
    work: impl Future<Output = ()>,
) {
    tokio::pin!(work);
    tokio::select! {
        () = &mut work => return,
        () = world.stage.entered.notified() => {}
    }
    if fault == Fault::TwoWorkers {
        world.clock.advance_ms(61_000);
        let tenant = tenant().await;
        // What it holds of the tenant's rows keeps the other waiting, so both go on at once.
        tokio::join!(world.settle(tenant), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            world.stage.go.notify_one();
            work.await;
        });
    }
    world.stage.revive();
}

async fn tenant_of(world: &World, slug: &str) -> TenantId {
    let found = tenants::service::find_named(&world.second.db, &platform_ctx(), slug).await;
    found.expect("its row was committed first").id
}

#[tokio::test]
async fn the_steps_are_those_that_are_tried() {
    let world = World::build().await;
    let plan = misy_tenancy::provisionings::service::plan;
    let steps = plan(&world.first.deps, &platform_ctx(), "trial").await.expect("a plan").steps;
    assert_eq!(steps, STEPS);
}

#[tokio::test]
async fn a_tenant_is_made_as_a_whole_or_not_at_all_whatever_fails_where() {
    let world = World::build().await;
    for (at, step) in STEPS.into_iter().enumerate() {
        for (number, fault) in FAULTS.into_iter().enumerate() {
            let slug = format!("t-{at}-{number}");
            let what = format!("{step} {fault:?}");
            world.stage.set(step, fault, false);
            let made = async {
                // What it answers is another test's; here counts what is left.
                let _ = tenants::service::create(&world.first.deps, &platform_ctx(), wanted(&slug))
                    .await;
            };
            let tenant = async || tenant_of(&world, &slug).await;
            Box::pin(run_first(&world, fault, tenant, made)).await;
            let tenant = tenant_of(&world, &slug).await;
            let status = world.settle(tenant).await;
            let expected = match fault {
                // Nothing is undone of what is only waiting for its turn in the queue of steps.
                Fault::UndoFails => Status::Failed,
                _ => Status::Active,
            };
            assert_eq!(status, expected, "{what}");
            world.stage.assert_happened(&what);
            world.second.assert_all_or_nothing(tenant, &what).await;
        }
    }
}

#[tokio::test]
async fn a_tenant_is_removed_as_a_whole_whatever_fails_where() {
    let world = World::build().await;
    for (at, step) in STEPS.into_iter().enumerate() {
        for (number, fault) in FAULTS.into_iter().enumerate() {
            let (slug, what) = (format!("t-{at}-{number}"), format!("{step} {fault:?}"));
            let ctx = platform_ctx();
            world.stage.set("none", Fault::Before, false);
            let deps = &world.first.deps;
            let tenant = tenants::service::create(deps, &ctx, wanted(&slug)).await;
            let tenant = tenant.expect("it is made").id;
            lifecycles::service::close(deps, &ctx, tenant, 1, None).await.expect("it closes");
            lifecycles::service::purge(deps, &ctx, tenant, &slug).await.expect("it begins");
            world.clock.advance_ms(3_000);
            world.stage.set(step, fault, true);
            let work = world.first.work();
            Box::pin(run_first(&world, fault, async || tenant, work)).await;
            assert_eq!(world.settle(tenant).await, Status::Purged, "{what}");
            world.stage.assert_happened(&what);
            world.second.assert_all_or_nothing(tenant, &what).await;
        }
    }
}

#[tokio::test]
async fn a_tenant_is_made_while_redis_is_away_and_removed_when_it_is_back() {
    let mut world = World::build().await;
    let (ctx, deps) = (platform_ctx(), Arc::clone(&world.second.deps));
    world.redis.kill();
    let tenant = tenants::service::create(&deps, &ctx, wanted("acme")).await;
    let tenant = tenant.expect("its first use makes the user");
    assert_eq!(tenant.status, Status::Active);
    let looked = inventories::service::look(&deps, &ctx, tenant.id).await;
    assert!(looked.is_err(), "nobody says that nothing is there who could not look");
    lifecycles::service::close(&deps, &ctx, tenant.id, 1, None).await.expect("it closes");
    lifecycles::service::purge(&deps, &ctx, tenant.id, "acme").await.expect("it begins");
    world.clock.advance_ms(3_000);
    world.second.work().await;
    assert_eq!(world.second.status(tenant.id).await, Status::Purging, "not before it is asked");
    world.redis.run().await.expect("it starts again");
    world.second.cache.tend().await.expect("it is found again");
    assert_eq!(world.settle(tenant.id).await, Status::Purged);
}
