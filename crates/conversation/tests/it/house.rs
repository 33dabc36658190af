//! Room `conversation`: a whole house for a test: database, API, worker, tenants with people.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use misy_channel::Gateway;
use misy_conversation::responders::KnowledgeResponder;
use misy_conversation::{Config, Deps};
use misy_core::crypto::Key;
use misy_core::id::TypedId;
use misy_core::{Actor, Proof, Role, Secret, TenantId, UserId};
use misy_jobs::{Registry, Tally, Worker};
use misy_store::documents::mongo::{Mongo, MongoConfig};
use misy_store::{Documents, Limited, TenantKey, TenantTx, Vault};
use misy_testkit::{HandClock, TestDatabase, TestMongo, ambient_with};
use misy_web::{AuthError, Authenticator, Kit, Peer, Principal, TenantDirectory};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::paper::Paper;
use crate::policies::Whims;

/// Everything that a test needs; its clock is turned by hand.
pub(crate) struct House {
    pub(crate) deps: Arc<Deps>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) paper: Arc<Paper>,
    pub(crate) clock: HandClock,
    pub(crate) database: TestDatabase,
    /// Tenants that are suspended, and whose site is whose.
    pub(crate) tenants: Tenants,
    /// What policies forbid.
    pub(crate) policies: Arc<Whims>,
    app: Router,
    worker: Worker,
}

/// How much everybody may, as much as they like until a test says so; and what they used of each.
#[derive(Default)]
pub(crate) struct Budget(pub(crate) Mutex<Option<i64>>, pub(crate) Mutex<HashMap<Limited, i64>>);

#[async_trait]
impl misy_store::Quota for Budget {
    async fn take(
        &self,
        _: &mut TenantTx,
        what: Limited,
        count: u32,
    ) -> Result<(), misy_store::QuotaError> {
        *self.1.lock().expect("no panic").entry(what).or_default() += i64::from(count);
        if what != Limited::MessagesPerMonth {
            return Ok(());
        }
        let mut left = self.0.lock().expect("no panic");
        let Some(left) = left.as_mut() else { return Ok(()) };
        self.check(what, Some(*left), i64::from(count) - 1)?;
        *left -= i64::from(count);
        Ok(())
    }

    async fn give_back(
        &self,
        _: &mut TenantTx,
        what: Limited,
        count: u32,
    ) -> Result<(), misy_store::Error> {
        *self.1.lock().expect("no panic").entry(what).or_default() -= i64::from(count);
        Ok(())
    }

    async fn ceiling(
        &self,
        _: &mut TenantTx,
        _: Limited,
    ) -> Result<Option<i64>, misy_store::Error> {
        Ok(*self.0.lock().expect("no panic"))
    }
}

/// A tenant with an account of the paper channel.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) tenant: TenantId,
    /// The account's id in text form.
    pub(crate) channel: String,
    /// The account's id at the provider.
    pub(crate) address: String,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
}

impl Answer {
    /// The body, if the status is the wanted one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The entity tag.
    pub(crate) fn tag(&self) -> String {
        self.headers[header::ETAG].to_str().expect("ASCII").to_owned()
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::keeping(config, None).await
    }

    /// A house whose documents live in a server of their own.
    pub(crate) async fn with_mongo(server: &TestMongo) -> Self {
        let config = MongoConfig {
            url: Some(Secret::new(server.everyday_url())),
            provisioning_url: Some(Secret::new(server.provisioning_url())),
            ..MongoConfig::default()
        };
        let mongo = Mongo::open(&config, &Key::new([8; 32])).await.expect("well formed");
        Self::keeping(Config::default(), mongo).await
    }

    async fn keeping(config: Config, mongo: Option<Mongo>) -> Self {
        let clock = HandClock::default();
        let ambient = ambient_with(&clock, 7);
        let database = TestDatabase::create().await;
        let db = database.db(ambient.clone());
        let tenants = Tenants::default();
        let reach = json!({ "private_hosts_allowed": config.private_hosts_allowed });
        let reach = serde_json::from_value(reach).expect("the rest are defaults");
        let budget = Arc::<Budget>::default();
        let paper = Arc::new(Paper::new());
        let responder = Arc::new(KnowledgeResponder::new(config.answer_threshold));
        let policies = Arc::<Whims>::default();
        let deps = Arc::new(Deps {
            db: db.clone(),
            documents: match mongo {
                Some(mongo) => Documents::mongo(db.clone(), mongo),
                None => Documents::embedded(db.clone()),
            },
            ambient: ambient.clone(),
            channels: misy_adapters::registry().with(paper.clone()),
            egress: Gateway::new(reach, ambient.clone()),
            vault: Arc::new(OneKey),
            policies: Arc::clone(&policies) as Arc<dyn misy_web::Policies>,
            quotas: budget.clone(),
            responder,
            config,
            routing_key: Key::new([5; 32]),
            public_url: "https://bot.example".to_owned(),
            accounts: misy_conversation::channels::AccountCache::default(),
            routes: misy_conversation::hooks::Routes::default(),
            tenants: Arc::new(tenants.clone()),
            seats: misy_conversation::visitors::Seats::default(),
            writers: misy_conversation::inbox::Writers::default(),
            archives: misy_conversation::inbox::Archives::default(),
        });
        let kit = Kit::new(
            db.clone(),
            Arc::new(Everybody),
            Arc::new(tenants.clone()),
            Key::new([6; 32]),
            misy_web::Config::default(),
        );
        let app = misy_web::app(misy_conversation::router(&deps), kit);
        let registry = misy_conversation::jobs(Registry::new(), &deps);
        let registry = registry.only_active(Arc::new(tenants.clone()));
        let worker = Worker::new(db, registry, misy_jobs::Config::default(), ambient);
        Self { deps, budget, paper, clock, database, tenants, policies, app, worker }
    }

    /// A tenant with a connected account.
    pub(crate) async fn shop(&self, name: &str) -> Shop {
        let tenant = TenantId::from_uuid(self.deps.ambient.uuid());
        let address = format!("paper-{name}");
        let shop = Shop { tenant, channel: String::new(), address: address.clone() };
        let account = json!({
            "kind": "paper", "name": name, "external_id": address,
            "credentials": { "stamp": "red", "verify_token": name },
        });
        let made = self.post(&shop, "/v1/channels", account).await.expect(201);
        Shop { channel: made["id"].as_str().expect("an id").to_owned(), ..shop }
    }

    /// Asks the API as a person of the tenant with a role; `extra` are headers.
    pub(crate) async fn call(
        &self,
        (shop, role): (&Shop, Role),
        method: Method,
        path: &str,
        extra: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}.{}", shop.tenant, role.slug()));
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string());
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body))
            }
            None => request.body(Body::empty()),
        };
        self.send(request.expect("a test writes a request")).await
    }

    pub(crate) async fn get(&self, shop: &Shop, path: &str) -> Answer {
        self.call((shop, Role::Admin), Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, shop: &Shop, path: &str, body: Value) -> Answer {
        self.call((shop, Role::Admin), Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, shop: &Shop, path: &str, body: Value) -> Answer {
        self.call((shop, Role::Admin), Method::PATCH, path, &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, shop: &Shop, path: &str) -> Answer {
        self.call((shop, Role::Admin), Method::DELETE, path, &[], None).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.expect("the router never fails");
        // Where a test takes the database away, there is nobody to tell.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.deps.writers.settle()).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes().to_vec();
        let text = String::from_utf8(bytes).expect("every answer is text");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body, text }
    }

    /// The provider delivers events for the shop's account.
    pub(crate) async fn deliver(&self, shop: &Shop, events: Value) -> Answer {
        let body =
            json!({ "to": shop.address, "events": events, "nonce": self.deps.ambient.uuid() });
        self.deliver_raw(shop, &body.to_string()).await
    }

    /// The provider delivers a body as it is.
    pub(crate) async fn deliver_raw(&self, shop: &Shop, body: &str) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/hooks/{}", shop.channel))
            .header("x-paper-stamp", "red")
            .body(Body::from(body.to_owned()));
        self.send(request.expect("a test writes a request")).await
    }

    /// The provider delivers events, and everything that follows now happens.
    pub(crate) async fn hears(&self, shop: &Shop, events: Value) -> Tally {
        self.deliver(shop, events).await.expect(200);
        self.run().await
    }

    /// A customer writes a text, and everything that follows now happens.
    pub(crate) async fn customer_writes(
        &self,
        shop: &Shop,
        from: &str,
        id: &str,
        text: &str,
    ) -> Tally {
        let at = self.deps.ambient.now().to_string();
        let event = json!({ "kind": "message", "id": id, "from": from, "text": text, "at": at });
        self.hears(shop, json!([event])).await
    }

    /// Runs everything that is due.
    pub(crate) async fn run(&self) -> Tally {
        self.worker.run_until_idle().await.expect("the database answers")
    }

    /// What the schedules want happens, and everything that follows.
    pub(crate) async fn run_on_schedule(&self) -> Tally {
        self.worker.run_schedules().await.expect("the database answers");
        self.run().await
    }

    /// Runs what is due until the provider hangs, and dies there.
    pub(crate) async fn run_and_die(&self) {
        let patience = Duration::from_millis(700);
        let died = tokio::time::timeout(patience, self.worker.run_until_idle()).await;
        assert!(died.is_err(), "the provider was to hang");
    }

    /// Runs what is due, until the provider hangs if it does.
    pub(crate) async fn run_or_die(&self) {
        let patience = Duration::from_millis(700);
        let _ = tokio::time::timeout(patience, self.worker.run_until_idle()).await;
    }

    /// Two workers run what is due at the same time. Either may lose a race for a row and be told
    /// so.
    pub(crate) async fn run_twice_at_once(&self) {
        let runs = (self.worker.run_until_idle(), self.worker.run_until_idle());
        let (one, two) = futures_util::future::join(runs.0, runs.1).await;
        let (one, two) = (one.expect("the database answers"), two.expect("the database answers"));
        assert_eq!((one.buried, two.buried), (0, 0));
        self.run().await;
    }

    /// Turns the clock.
    pub(crate) fn later(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1000);
    }

    /// Adds a knowledge entry; gives its id.
    pub(crate) async fn teach(
        &self,
        shop: &Shop,
        language: &str,
        question: &str,
        answer: &str,
    ) -> String {
        let entry = json!({ "question": question, "answer": answer, "language": language });
        let made = self.post(shop, "/v1/knowledge-entries", entry).await.expect(201);
        made["id"].as_str().expect("an id").to_owned()
    }

    /// The one conversation of the shop.
    pub(crate) async fn conversation(&self, shop: &Shop) -> Value {
        let listed = self.get(shop, "/v1/conversations").await.expect(200);
        let all = listed["data"].as_array().expect("a list");
        assert_eq!(all.len(), 1, "{listed}");
        all[0].clone()
    }

    /// The messages of the shop's one conversation, oldest first.
    pub(crate) async fn messages(&self, shop: &Shop) -> Vec<Value> {
        let id = self.conversation(shop).await["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/conversations/{id}/messages");
        let listed = self.get(shop, &path).await.expect(200);
        listed["data"].as_array().expect("a list").clone()
    }

    /// The only message that went out in the shop's one conversation.
    pub(crate) async fn outbound(&self, shop: &Shop) -> Value {
        let mut all = self.messages(shop).await;
        all.retain(|message| message["direction"] == "outbound");
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The contact of the shop's latest conversation.
    pub(crate) async fn contact(&self, shop: &Shop) -> Value {
        let listed = self.get(shop, "/v1/conversations").await.expect(200);
        listed["data"][0]["contact_id"].clone()
    }

    /// A transaction of an administrator of the shop.
    pub(crate) async fn tx(&self, shop: &Shop) -> TenantTx {
        self.deps
            .db
            .tenant(&misy_testkit::ctx(shop.tenant, Role::Admin))
            .await
            .expect("the database answers")
    }

    /// Adds a person to the tenant; gives the id.
    pub(crate) async fn person(&self, shop: &Shop) -> String {
        let id = self.deps.ambient.uuid();
        let mut tx = self.tx(shop).await;
        let tenant = tx.tenant();
        let role = "insert into roles (tenant_id, id, slug, name, built_in)
            values ($1, $2, 'agent', 'Agent', true) on conflict do nothing";
        tx.execute(role, &[&tenant, &id]).await.expect("a role");
        let user = "insert into users (tenant_id, id, account_id, email, name, role, status)
            values ($1, $2::uuid, $2::uuid, concat($2::uuid, '@shop.example'), 'Ann', 'agent',
                'active')";
        tx.execute(user, &[&tenant, &id]).await.expect("a user");
        tx.commit().await.expect("committed");
        UserId::from_uuid(id).to_string()
    }
}

/// Knows everybody: a credential names tenant and role.
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

/// A page that no tenant allows.
pub(crate) const STRANGER: &str = "https://stranger.example";

/// Every tenant is active that is not suspended, and allows all pages but a stranger's.
#[derive(Clone, Default)]
pub(crate) struct Tenants {
    pub(crate) suspended: Arc<Mutex<HashSet<TenantId>>>,
    pub(crate) sites: Arc<Mutex<HashMap<String, TenantId>>>,
}

#[async_trait]
impl misy_jobs::Tenants for Tenants {
    async fn is_active(&self, tenant: TenantId) -> Result<bool, misy_store::Error> {
        TenantDirectory::is_active(self, tenant).await
    }
}

#[async_trait]
impl TenantDirectory for Tenants {
    async fn is_active(&self, tenant: TenantId) -> Result<bool, misy_store::Error> {
        let suspended = self.suspended.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(!suspended.contains(&tenant))
    }

    async fn allows_origin(
        &self,
        _: Option<TenantId>,
        origin: &str,
    ) -> Result<bool, misy_store::Error> {
        Ok(origin != STRANGER)
    }

    async fn list_origins(&self, _: TenantId) -> Result<Vec<String>, misy_store::Error> {
        Ok(vec!["https://shop.example".to_owned()])
    }

    async fn find_site(&self, site_id: &str) -> Result<Option<TenantId>, misy_store::Error> {
        let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(sites.get(site_id).copied())
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
        tx: &mut TenantTx,
        version: u32,
    ) -> Result<Option<TenantKey>, misy_store::Error> {
        let key = self.current(tx).await?;
        Ok((version == key.version).then_some(key))
    }
}
