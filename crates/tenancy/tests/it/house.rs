//! Room `tenancy`: a program with a database of its own, users as types, and a step of provisioning
//! that fails to order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_core::{
    Actor, Ctx, Mail, Mailer, OperatorId, Proof, Role, Secret, TenantId, Timestamp, UserId,
};
use misy_jobs::provision::{Found, Provision, Step as SagaStep, StepError, TenantSeed};
use misy_jobs::{Registry, Worker};
use misy_store::{Cache, CacheConfig, Db, Documents, Kind};
use misy_tenancy::onboarding_workflows::model::Check;
use misy_tenancy::onboardings;
use misy_tenancy::signups::{self, Front};
use misy_tenancy::{Base, Deps, Directory, Keys};
use misy_testkit::{HandClock, TestDatabase, ambient_with, ctx, platform_ctx};
use misy_web::{AuthError, Authenticator, Kit, Peer, Principal};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

/// Who calls.
pub(crate) trait User {
    /// Their credential.
    fn bearer(&self) -> String;
}

/// A person who runs the platform.
pub(crate) struct Operator;
/// Another one.
pub(crate) struct OtherOperator;
/// A person of a tenant who runs it.
pub(crate) struct Admin(pub(crate) TenantId);
/// Somebody of the platform who does not run it.
pub(crate) struct Staff(pub(crate) Role);
/// A person of a tenant in any role.
pub(crate) struct Person(pub(crate) TenantId, pub(crate) Role);
/// Somebody without a credential.
pub(crate) struct Stranger;
/// A person of a tenant who talks with customers.
pub(crate) struct Agent(pub(crate) TenantId);

impl User for Operator {
    fn bearer(&self) -> String {
        "1@platform".to_owned()
    }
}
impl User for OtherOperator {
    fn bearer(&self) -> String {
        "2@platform".to_owned()
    }
}
impl User for Stranger {
    fn bearer(&self) -> String {
        String::new()
    }
}
impl User for Staff {
    fn bearer(&self) -> String {
        format!("{}@platform", self.0.slug())
    }
}
impl User for Person {
    fn bearer(&self) -> String {
        format!("{}@{}", self.1.slug(), self.0)
    }
}
impl User for Admin {
    fn bearer(&self) -> String {
        format!("admin@{}", self.0)
    }
}
impl User for Agent {
    fn bearer(&self) -> String {
        format!("agent@{}", self.0)
    }
}

struct Credentials;

#[async_trait]
impl Authenticator for Credentials {
    async fn authenticate(&self, bearer: &Secret, _: Peer) -> Result<Principal, AuthError> {
        let (who, of) = bearer.expose().split_once('@').ok_or(AuthError::Invalid)?;
        if of == "platform" {
            // Who runs the platform is known by a number, everybody else of it by a role.
            let (number, role) = match who.parse() {
                Ok(number) => (number, Role::Operator),
                Err(_) => (99, who.parse().map_err(|_| AuthError::Invalid)?),
            };
            let actor = Actor::Operator(OperatorId::from_uuid(Uuid::from_u128(number)));
            return Ok(Principal::Operator { actor, grants: role.grants() });
        }
        let tenant = of.parse().map_err(|_| AuthError::Invalid)?;
        let role: Role = who.parse().map_err(|_| AuthError::Invalid)?;
        let actor = Actor::User(UserId::from_uuid(Uuid::from_u128(role as u128)));
        Ok(Principal::Tenant { tenant, actor, grants: role.grants(), proof: Proof::default() })
    }
}

/// What another room does for a new tenant; fails as often as it is told.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) fails_for_now: AtomicU32,
    pub(crate) is_impossible: AtomicU32,
    pub(crate) undo_fails: AtomicU32,
    pub(crate) seeds: Mutex<Vec<TenantSeed>>,
}

fn take_one(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl SagaStep<TenantSeed> for Step {
    fn name(&self) -> &'static str {
        "tests.step"
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    async fn act(&self, ctx: &Ctx, _: Uuid, seed: &TenantSeed) -> Result<(), StepError> {
        assert_eq!(ctx.tenant(), seed.id);
        self.seeds.lock().expect("no panic").push(seed.clone());
        if take_one(&self.fails_for_now) {
            return Err(StepError::retry("the line was busy"));
        }
        if take_one(&self.is_impossible) {
            return Err(StepError::Impossible {
                faults: Vec::new(),
                source: "this cannot be".into(),
            });
        }
        Ok(())
    }

    async fn undo(&self, _: &Ctx, _: Uuid) -> Result<(), StepError> {
        if take_one(&self.undo_fails) { Err(StepError::retry("still in use")) } else { Ok(()) }
    }
}

#[async_trait]
impl Provision for Step {
    async fn find(&self, _: &Ctx) -> Result<Vec<Found>, StepError> {
        Ok(Vec::new())
    }
}

/// One process of the program.
pub(crate) struct House {
    pub(crate) database: TestDatabase,
    pub(crate) clock: HandClock,
    pub(crate) db: Db,
    pub(crate) deps: Arc<Deps>,
    pub(crate) first: Arc<Step>,
    pub(crate) second: Arc<Step>,
    pub(crate) documents: Documents,
    pub(crate) letters: Arc<Letters>,
    pub(crate) facts: Arc<Facts>,
    router: Router,
}

/// Mails that have left.
#[derive(Default)]
pub(crate) struct Letters(pub(crate) Mutex<Vec<Mail>>);

impl Mailer for Letters {
    fn send<'a>(&'a self, mail: &'a Mail) -> misy_core::mail::Sending<'a> {
        self.0.lock().expect("no panic").push(mail.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Letters {
    /// The texts of all mails to an address, oldest first.
    pub(crate) fn to(&self, address: &str) -> Vec<String> {
        let all = self.0.lock().expect("no panic");
        let of = all.iter().filter(|mail| mail.to.0 == address);
        of.map(|mail| mail.text.expose().to_owned()).collect()
    }
}

/// What other rooms say they know, the same of every tenant.
#[derive(Default)]
pub(crate) struct Facts(pub(crate) Mutex<HashMap<Check, i64>>);

impl Facts {
    pub(crate) fn say(&self, check: Check, count: i64) {
        self.0.lock().expect("no panic").insert(check, count);
    }
}

#[async_trait]
impl onboardings::Facts for Facts {
    async fn count(&self, _: &Ctx, check: Check, _: Timestamp) -> Result<i64, misy_store::Error> {
        Ok(self.0.lock().expect("no panic").get(&check).copied().unwrap_or_default())
    }
}

/// Sign-up is open; nobody has to approve.
pub(crate) fn front(letters: &Arc<Letters>) -> Front {
    Front {
        config: signups::Config { enabled: true, ..signups::Config::default() },
        mailer: Arc::<Letters>::clone(letters),
        key: Key::new([6; 32]),
        app_url: Some("https://app.example".to_owned()),
        public_url: "https://api.example".to_owned(),
    }
}

/// The kind of documents that tests keep.
const KINDS: [Kind; 1] = [Kind::new("notes", &[])];

impl House {
    pub(crate) async fn build() -> Self {
        Self::build_with(|_| {}).await
    }

    /// One in which every tenant has a part more.
    pub(crate) async fn build_beside(part: Arc<dyn Provision>) -> Self {
        Self::on(TestDatabase::create().await, HandClock::default(), 1, |_| {}, Some(part))
    }

    /// One with other settings of sign-up.
    pub(crate) async fn build_with(set: fn(&mut signups::Config)) -> Self {
        Self::on(TestDatabase::create().await, HandClock::default(), 1, set, None)
    }

    /// Another process on the same database and clock.
    pub(crate) fn second_process(&self) -> Self {
        Self::on(self.database.clone(), self.clock.clone(), 2, |_| {}, None)
    }

    fn on(
        database: TestDatabase,
        clock: HandClock,
        seed: u64,
        set: fn(&mut signups::Config),
        more: Option<Arc<dyn Provision>>,
    ) -> Self {
        let letters = Arc::<Letters>::default();
        let facts = Arc::<Facts>::default();
        let mut front = front(&letters);
        set(&mut front.config);
        let ambient = ambient_with(&clock, seed);
        let db = database.db(ambient.clone());
        let root = Key::new([5; 32]);
        let (first, second) = (Arc::new(Step::default()), Arc::new(Step::default()));
        let documents = Documents::embedded(db.clone());
        let mut parts: Vec<Arc<dyn Provision>> = vec![first.clone(), second.clone()];
        parts.extend(more);
        let deps = Arc::new(Deps::new(Base {
            db: db.clone(),
            system: platform_ctx(),
            keys: Arc::new(Keys::new(&root, ambient.clone())),
            directory: Arc::new(Directory::new(db.clone(), platform_ctx())),
            cache: Cache::embedded(&CacheConfig::default(), ambient),
            documents: documents.clone(),
            kinds: &KINDS,
            parts,
            data: Vec::new(),
            front,
            facts: Arc::<Facts>::clone(&facts),
        }));
        let mut kit = Kit::new(
            db.clone(),
            Arc::new(Credentials),
            deps.directory.clone(),
            root.derive("answers"),
            misy_web::Config::default(),
        );
        kit.limits = Arc::new(deps.rates.beside(misy_web::rates::Allowances::default()));
        let router = misy_web::app(misy_tenancy::router(&deps), kit);
        Self { database, clock, db, deps, first, second, documents, letters, facts, router }
    }

    pub(crate) async fn send(
        &self,
        user: &impl User,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !user.bearer().is_empty() {
            request = request.header("authorization", format!("Bearer {}", user.bearer()));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string());
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Body::from(body.unwrap_or_default())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let header = |name: &str| {
            let value = parts.headers.get(name);
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (etag, replayed) = (header("etag"), header("idempotency-replayed") == "true");
        let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a complete body");
        let empty = bytes.is_empty();
        let body = if empty { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
        Answer { status: parts.status, etag, replayed, body }
    }

    /// An answer whose body is read as it comes.
    pub(crate) async fn open(&self, user: &impl User, path: &str) -> Response<Body> {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {}", user.bearer()))
            .header("accept", "text/event-stream");
        let request = request.body(Body::empty()).expect("a request");
        self.router.clone().oneshot(request).await.expect("infallible")
    }

    /// What is sent to one who watches, until it ends.
    pub(crate) async fn watch(&self, user: &impl User, path: &str) -> String {
        let response = self.open(user, path).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("all of it");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    pub(crate) async fn get(&self, user: &impl User, path: &str) -> Answer {
        self.send(user, Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, user: &impl User, path: &str, body: Value) -> Answer {
        self.send(user, Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, user: &impl User, path: &str, body: Value) -> Answer {
        self.send(user, Method::PATCH, path, &[], Some(body)).await
    }

    /// A step that has no body, by its status.
    pub(crate) async fn post_nothing(&self, user: &impl User, path: &str) -> StatusCode {
        self.send(user, Method::POST, path, &[], None).await.status
    }

    /// A step of an operator that says nothing more.
    pub(crate) async fn activate(&self, tenant: TenantId) -> Answer {
        let path = format!("/v1/tenants/{tenant}/activate");
        self.send(&Operator, Method::POST, &path, &[], None).await
    }

    pub(crate) async fn suspend(&self, tenant: TenantId) -> Answer {
        let path = format!("/v1/tenants/{tenant}/suspend");
        self.post(&Operator, &path, json!({"reason": "billing"})).await
    }

    /// A tenant that works.
    pub(crate) async fn tenant(&self, slug: &str) -> TenantId {
        let answer = self.post(&Operator, "/v1/tenants", wanted(slug)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.id()
    }

    fn worker(&self) -> Worker {
        let registry = misy_tenancy::jobs(Registry::new(), &self.deps);
        let registry = registry.only_active(self.deps.directory.clone());
        let config = misy_jobs::Config::default();
        Worker::new(self.db.clone(), registry, config, self.deps.ambient.clone())
    }

    /// Runs the jobs that are due after so many seconds; gives how many succeeded.
    pub(crate) async fn run_jobs_after_s(&self, seconds: i64) -> usize {
        self.clock.advance_ms(seconds * 1_000);
        self.worker().run_until_idle().await.expect("the database answers").done
    }

    /// Enqueues what comes back by the clock.
    pub(crate) async fn run_schedules(&self) {
        self.worker().run_schedules().await.expect("the database answers");
    }

    /// A number that the platform may count.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let mut tx = self.db.platform_read(&platform_ctx()).await.expect("a connection");
        tx.query_opt(sql, &[]).await.expect("a statement").expect("a row").get(0)
    }
}

/// Somebody who owns a tenant.
pub(crate) fn owner(tenant: TenantId) -> Ctx {
    ctx(tenant, Role::Owner)
}

/// What an operator sends to make a tenant.
pub(crate) fn wanted(slug: &str) -> Value {
    json!({
        "slug": slug,
        "name": "Acme GmbH",
        "owner": {"email": "Ann@Acme.Example", "name": "Ann", "password": "a wise old owl"},
        "plan": "trial",
    })
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) etag: String,
    pub(crate) replayed: bool,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn id(&self) -> TenantId {
        self.text("id").parse().expect("a tenant's id")
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body))
    }

    /// Status and error code.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.text("code"))
    }

    /// Where the faults are, sorted.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().expect("a list of faults");
        let mut found: Vec<_> = errors.iter().filter_map(|one| one["pointer"].as_str()).collect();
        found.sort_unstable();
        found
    }

    /// One member of every item of a list.
    pub(crate) fn column(&self, field: &str) -> Vec<&str> {
        let data = self.body["data"].as_array().expect("a list");
        data.iter().filter_map(|item| item[field].as_str()).collect()
    }
}
