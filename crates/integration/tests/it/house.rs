//! Room `integration`: a whole house for a test: database, API, courier, worker, tenants.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_core::{Actor, Ctx, Proof, Role, Secret, TenantId, UserId};
use misy_egress::Gateway;
use misy_egress::guard::{LookUp, OfMachine};
use misy_integration::{Config, Deps, Postman};
use misy_jobs::parcels::Courier;
use misy_jobs::{Registry, Worker};
use misy_store::{Herald, News, TenantKey, TenantTx, Vault};
use misy_testkit::{HandClock, TestDatabase, ambient_with};
use misy_web::{AuthError, Authenticator, Kit, Peer, Principal, TenantDirectory};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::sink::Sink;

/// Everything that a test needs; its clock is turned by hand.
pub(crate) struct House {
    pub(crate) deps: Arc<Deps>,
    pub(crate) clock: HandClock,
    pub(crate) database: TestDatabase,
    pub(crate) news: Arc<Board>,
    app: Router,
    worker: Worker,
    courier: tokio::sync::Mutex<Courier<Postman>>,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, if the status is the wanted one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Config { private_hosts_allowed: true, ..Config::default() }).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::on(TestDatabase::create().await, config)
    }

    /// Another process on the same database.
    pub(crate) fn on(database: TestDatabase, config: Config) -> Self {
        Self::limited(database, config, Arc::new(misy_store::Unlimited))
    }

    /// The same with limits of a plan.
    pub(crate) fn limited(
        database: TestDatabase,
        config: Config,
        quotas: Arc<dyn misy_store::Quota>,
    ) -> Self {
        let private_hosts_allowed = config.private_hosts_allowed;
        let reach = misy_egress::Config { private_hosts_allowed, ..misy_egress::Config::default() };
        Self::built(database, config, (reach, Arc::new(OfMachine)), quotas)
    }

    /// One that goes out as it is told and asks somebody else for addresses.
    pub(crate) fn reaching(
        database: TestDatabase,
        config: Config,
        reach: misy_egress::Config,
        names: Arc<dyn LookUp>,
    ) -> Self {
        Self::built(database, config, (reach, names), Arc::new(misy_store::Unlimited))
    }

    fn built(
        database: TestDatabase,
        config: Config,
        (reach, names): (misy_egress::Config, Arc<dyn LookUp>),
        quotas: Arc<dyn misy_store::Quota>,
    ) -> Self {
        let clock = HandClock::default();
        let ambient = ambient_with(&clock, 11);
        let db = database.db(ambient.clone());
        let news = Arc::<Board>::default();
        let deps = Arc::new(Deps {
            db: db.clone(),
            ambient: ambient.clone(),
            egress: Gateway::asking(reach, ambient.clone(), names),
            vault: Arc::new(OneKey),
            quotas,
            heralds: news.clone(),
            config,
            opened: misy_integration::endpoints::Opened::default(),
            backlogs: misy_integration::events::Backlogs::default(),
            publications: misy_integration::events::Publications::default(),
            gate: misy_integration::sources::Gate::default(),
            public_url: "https://bot.example".to_owned(),
        });
        let kit = Kit::new(
            db.clone(),
            Arc::new(Everybody),
            Arc::new(Everybody),
            Key::new([6; 32]),
            misy_web::Config::default(),
        );
        let app = misy_web::app(misy_integration::router(&deps), kit);
        let registry = misy_integration::jobs(Registry::new(), &deps);
        let worker = Worker::new(db, registry, misy_jobs::Config::default(), ambient);
        let courier = tokio::sync::Mutex::new(Postman::courier(&deps, None));
        Self { deps, clock, database, news, app, worker, courier }
    }

    pub(crate) fn tenant(&self) -> TenantId {
        TenantId::from_uuid(self.deps.ambient.uuid())
    }

    /// Asks the API as a person of the tenant with a role.
    pub(crate) async fn call(
        &self,
        (tenant, role): (TenantId, Role),
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {tenant}.{}", role.slug()));
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let request = request.expect("a test writes a request");
        let response = self.app.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends as another service does, without any credential of ours.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl AsRef<[u8]>,
    ) -> (StatusCode, String) {
        let answer = self.speak(method, path, headers, body).await;
        (answer.status(), String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// The same, with everything that is answered.
    pub(crate) async fn speak(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl AsRef<[u8]>,
    ) -> Response<Bytes> {
        let body = Body::from(body.as_ref().to_vec());
        let request = Request::builder().method(method).uri(path).body(body);
        let mut request = request.expect("a test writes a request");
        *request.headers_mut() = headers;
        let response = self.app.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.expect("a whole body").to_bytes())
    }

    pub(crate) async fn get(&self, tenant: TenantId, path: &str) -> Answer {
        self.call((tenant, Role::Admin), Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, tenant: TenantId, path: &str, body: Value) -> Answer {
        self.call((tenant, Role::Admin), Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, tenant: TenantId, path: &str, body: Value) -> Answer {
        self.call((tenant, Role::Admin), Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, tenant: TenantId, path: &str) -> Answer {
        self.call((tenant, Role::Admin), Method::DELETE, path, None).await
    }

    /// Makes an endpoint of a receiver; `more` is merged into what is asked for.
    pub(crate) async fn endpoint(&self, tenant: TenantId, sink: &Sink, more: Value) -> Value {
        let mut body = json!({ "url": sink.url() });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.post(tenant, "/v1/webhook-endpoints", body).await.expect(201)
    }

    /// Publishes an event; gives its id.
    pub(crate) async fn publish(&self, tenant: TenantId, kind: &str, data: Value) -> String {
        let event = json!({ "type": kind, "data": data });
        let made = self.post(tenant, "/v1/events", event).await.expect(202);
        text(&made["data"][0]["id"])
    }

    /// Carries everything that is ready.
    pub(crate) async fn carry(&self) -> usize {
        let carried = self.courier.lock().await.run_until_idle().await;
        carried.expect("the database answers")
    }

    /// Runs jobs, then carries.
    pub(crate) async fn run(&self) -> usize {
        self.worker.run_until_idle().await.expect("the database answers");
        self.carry().await
    }

    /// Turns the clock.
    pub(crate) fn later(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1_000);
    }

    /// All deliveries of a tenant, newest first.
    pub(crate) async fn deliveries(&self, tenant: TenantId) -> Vec<Value> {
        let listed = self.get(tenant, "/v1/webhook-deliveries?limit=200").await.expect(200);
        listed["data"].as_array().expect("a list").clone()
    }

    /// A number that a statement of the superuser gives.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let rows = misy_testkit::postgres::query(self.database.superuser(), sql).await;
        rows.expect("a statement")[0].get(0)
    }
}

/// An administrator of a tenant.
pub(crate) fn ctx(tenant: TenantId) -> Ctx {
    misy_testkit::ctx(tenant, Role::Admin)
}

/// A JSON text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Knows everybody: a credential names tenant and role. All tenants are active.
struct Everybody;

#[async_trait]
impl Authenticator for Everybody {
    async fn authenticate(&self, bearer: &Secret, _: Peer) -> Result<Principal, AuthError> {
        let (tenant, role) = bearer.expose().split_once('.').ok_or(AuthError::Invalid)?;
        let tenant = tenant.parse().map_err(|_| AuthError::Invalid)?;
        let role: Role = role.parse().map_err(|_| AuthError::Invalid)?;
        let actor = Actor::User(UserId::from_uuid(Uuid::from_u128(0xace)));
        Ok(Principal::Tenant { tenant, actor, grants: role.grants(), proof: Proof::default() })
    }
}

#[async_trait]
impl TenantDirectory for Everybody {
    async fn is_active(&self, _: TenantId) -> Result<bool, misy_store::Error> {
        Ok(true)
    }

    async fn allows_origin(&self, _: Option<TenantId>, _: &str) -> Result<bool, misy_store::Error> {
        Ok(true)
    }
}

/// News that those who run a tenant would be told.
#[derive(Default)]
pub(crate) struct Board(pub(crate) Mutex<Vec<(TenantId, News)>>);

impl Herald for Board {
    fn tell(&self, tx: &mut TenantTx, news: News) {
        self.0.lock().expect("no panic").push((tx.ctx().tenant(), news));
    }
}

/// One key for all tenants.
struct OneKey;

#[async_trait]
impl Vault for OneKey {
    async fn current(&self, _: &mut TenantTx) -> Result<TenantKey, misy_store::Error> {
        Ok(TenantKey { version: 1, key: Key::new([9; 32]) })
    }

    async fn of_version(
        &self,
        _: &mut TenantTx,
        version: u32,
    ) -> Result<Option<TenantKey>, misy_store::Error> {
        Ok((version == 1).then(|| TenantKey { version: 1, key: Key::new([9; 32]) }))
    }
}
