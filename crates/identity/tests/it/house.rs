//! Room `identity`: a program with a database of its own, and its callers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use misy_core::crypto::Key;
use misy_core::{Personal, Role, Secret, TenantId};
use misy_egress::names::LookupError;
use misy_egress::{Gateway, TxtRecords};
use misy_identity::attempts::Allowance;
use misy_identity::{Bearers, Config, Deps, Email, Outside, Provisioner, ensure_operator};
use misy_jobs::provision::{Owner, TenantSeed};
use misy_jobs::sagas::take_alone;
use misy_jobs::{Registry, Tally, Worker};
use misy_store::{Db, DbRole, TenantKey, TenantTx, Vault};
use misy_testkit::mail::Mailbox;
use misy_testkit::{HandClock, Plan, TestDatabase, ambient_with, ctx, platform_ctx};
use misy_web::{Kit, TenantDirectory};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The password of everybody whom [`House`] makes.
pub(crate) const PASSWORD: &str = "a wise old owl";

struct EverybodyActive;

#[async_trait]
impl TenantDirectory for EverybodyActive {
    async fn is_active(&self, _: TenantId) -> Result<bool, misy_store::Error> {
        Ok(true)
    }
    async fn allows_origin(&self, _: Option<TenantId>, _: &str) -> Result<bool, misy_store::Error> {
        Ok(false)
    }
}

/// Each tenant's key is made of its id.
struct KeyOfId;

#[async_trait]
impl Vault for KeyOfId {
    async fn current(&self, tx: &mut TenantTx) -> Result<TenantKey, misy_store::Error> {
        let key = Key::new([7; 32]).derive(&tx.ctx().tenant().to_string());
        Ok(TenantKey { version: 1, key })
    }

    async fn of_version(
        &self,
        tx: &mut TenantTx,
        wanted: u32,
    ) -> Result<Option<TenantKey>, misy_store::Error> {
        self.current(tx).await.map(|key| Some(key).filter(|key| key.version == wanted))
    }
}

/// Texts by name, as a name server would tell them.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Names {
    pub(crate) fn publish(&self, name: &str, text: &str) {
        let mut known = self.0.lock().expect("not poisoned");
        known.entry(name.to_owned()).or_default().push(text.to_owned());
    }

    /// Takes every text of a name away, or the name server with them.
    pub(crate) fn withdraw(&self, name: &str, answers: bool) {
        let mut known = self.0.lock().expect("not poisoned");
        known.remove(name);
        if !answers {
            known.insert(name.to_owned(), Vec::new());
        }
    }
}

#[async_trait]
impl TxtRecords for Names {
    async fn look_up(&self, name: &str) -> Result<Vec<String>, LookupError> {
        match self.0.lock().expect("not poisoned").get(name) {
            Some(texts) if texts.is_empty() => Err(LookupError::Unanswered),
            found => Ok(found.cloned().unwrap_or_default()),
        }
    }
}

/// Ways out that may lead to this machine, where tests have their providers.
fn outside(db: &Db, names: &Names, root: &Key) -> Outside {
    let ambient = db.ambient().clone();
    let config = misy_egress::Config { private_hosts_allowed: true, ..Default::default() };
    let gateway = Gateway::new(config, ambient.clone());
    Outside::new(gateway, Arc::new(names.clone()), Arc::new(KeyOfId), root, ambient)
}

/// One process of the program.
pub(crate) struct House {
    pub(crate) database: TestDatabase,
    pub(crate) clock: HandClock,
    pub(crate) db: Db,
    pub(crate) deps: Arc<Deps>,
    pub(crate) names: Names,
    /// Where mails end.
    pub(crate) mailbox: Arc<Mailbox>,
    /// How many people there may be.
    pub(crate) plan: Arc<Plan>,
    router: Router,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after_s: Option<u32>,
    pub(crate) cookies: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field}")).to_owned()
    }

    /// Status and error code.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.text("code"))
    }

    /// The body without the id of the request.
    pub(crate) fn without_instance(&self) -> (StatusCode, String) {
        let mut value = self.json();
        value.as_object_mut().expect("an object").remove("instance");
        (self.status, value.to_string())
    }
}

/// Limits that no test meets by accident.
pub(crate) fn generous() -> Config {
    let wide = Allowance { burst: 100_000, refill_ms: 1 };
    Config { per_address: wide, per_account: wide, hashing_concurrency: 2, ..Config::default() }
}

impl House {
    pub(crate) async fn build() -> Self {
        Self::with(generous()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::on(TestDatabase::create().await, HandClock::default(), config, 1).await
    }

    pub(crate) async fn at(clock: HandClock, config: Config) -> Self {
        Self::on(TestDatabase::create().await, clock, config, 1).await
    }

    /// Another installation, with the same names and other keys.
    pub(crate) async fn elsewhere() -> Self {
        Self::on(TestDatabase::create().await, HandClock::default(), generous(), 3).await
    }

    /// Another process on the same database and clock.
    pub(crate) async fn second_process(&self) -> Self {
        Self::on(self.database.clone(), self.clock.clone(), generous(), 2).await
    }

    async fn on(database: TestDatabase, clock: HandClock, config: Config, seed: u64) -> Self {
        let db = database.db(ambient_with(&clock, seed));
        let root = Key::new([5; 32]);
        let names = Names::default();
        let deps = Deps::open(db.clone(), &root, platform_ctx(), config).await.expect("opens");
        let mailbox = Arc::new(Mailbox::default());
        let plan = Arc::<Plan>::default();
        let deps = deps.with_mailer(Arc::<Mailbox>::clone(&mailbox)).with_quotas(plan.clone());
        let deps = Arc::new(deps.with_outside(outside(&db, &names, &root)));
        let kit = Kit::new(
            db.clone(),
            Arc::new(Bearers(Arc::clone(&deps))),
            Arc::new(EverybodyActive),
            root.derive("answers"),
            misy_web::Config::default(),
        );
        let router = misy_web::app(misy_identity::router(&deps), kit);
        Self { database, clock, db, deps, names, mailbox, plan, router }
    }

    /// Every route, to be served on a socket.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(Method::try_from(method).expect("a method"));
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.answer(request.uri(path).body(body).expect("a request")).await
    }

    /// Posts with an `Idempotency-Key`.
    pub(crate) async fn send_keyed(
        &self,
        path: &str,
        bearer: &str,
        key: &str,
        body: &Value,
    ) -> Answer {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key);
        self.answer(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    /// Sends a request and gives the answer with its headers.
    pub(crate) async fn raw(&self, request: Request<Body>) -> Response<String> {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Response::from_parts(parts, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    /// Sends a request with any headers.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let cookies = cookies.map(|it| it.to_str().expect("ASCII").to_owned()).collect();
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Answer { status, retry_after_s, cookies, body }
    }

    /// Serves it on this machine until the test ends; gives the address.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let router = self.router.clone();
        let config = misy_web::serve::Config::default();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(misy_web::serve(listener, router, config, std::future::pending()));
        format!("http://{address}")
    }

    pub(crate) async fn get(&self, path: &str, bearer: &str) -> Answer {
        self.send("GET", path, Some(bearer), None).await
    }

    pub(crate) async fn post(&self, path: &str, bearer: &str, body: Value) -> Answer {
        self.send("POST", path, Some(bearer), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, bearer: &str, body: Value) -> Answer {
        self.send("PATCH", path, Some(bearer), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, bearer: &str) -> Answer {
        self.send("DELETE", path, Some(bearer), None).await
    }

    /// Makes a tenant whose owner is `owner@<slug>.example`.
    pub(crate) async fn tenant(&self, slug: &str) -> TenantId {
        let seed = self.seed(slug, &format!("owner@{slug}.example"), Some(PASSWORD));
        self.provision(&seed).await;
        seed.id
    }

    pub(crate) fn seed(&self, slug: &str, email: &str, password: Option<&str>) -> TenantSeed {
        TenantSeed {
            id: self.db.ambient().id(),
            slug: slug.to_owned(),
            site_id: format!("site_{slug}"),
            name: slug.to_owned(),
            locale: "en".to_owned(),
            time_zone: "UTC".to_owned(),
            plan: "standard".to_owned(),
            limits: Value::Null,
            starter: Value::Null,
            owner: Owner {
                email: Personal(email.to_owned()),
                name: Personal("Olga Owner".to_owned()),
                password: password.map(Secret::new),
            },
        }
    }

    pub(crate) async fn provision(&self, seed: &TenantSeed) {
        let step = Provisioner(Arc::clone(&self.deps));
        let owner = ctx(seed.id, Role::Owner);
        take_alone(&self.db, &owner, &step, seed).await.expect("provisions");
    }

    /// Does all that waits to be done.
    pub(crate) async fn work(&self) -> Tally {
        let registry = misy_identity::jobs(Registry::new(), &self.deps);
        let config = misy_jobs::Config::default();
        let worker = Worker::new(self.db.clone(), registry, config, self.db.ambient().clone());
        worker.run_until_idle().await.expect("the database is there")
    }

    /// The link in the newest mail to this address, after all mails were sent.
    pub(crate) async fn link_to(&self, address: &str) -> String {
        self.work().await;
        self.mailbox.link_to(address).unwrap_or_else(|| panic!("no link was sent to {address}"))
    }

    /// Makes the first operator; gives the address and the password.
    pub(crate) async fn operator(&self) -> (String, String) {
        let email: Email = "root@platform.example".parse().expect("an address");
        let made = ensure_operator(&self.deps, &platform_ctx(), &email).await.expect("makes one");
        (email.as_str().to_owned(), made.expect("there was none").expose().to_owned())
    }

    pub(crate) async fn try_sign_in(&self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.send("POST", "/v1/auth/login", None, Some(body)).await
    }

    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Pair {
        Pair::of(&self.try_sign_in(email, password).await)
    }

    /// The access token of the owner of [`House::tenant`].
    pub(crate) async fn owner(&self, slug: &str) -> String {
        self.sign_in(&format!("owner@{slug}.example"), PASSWORD).await.access
    }

    /// Adds a person `<role>@<slug>.example` and signs them in; gives their id and access token.
    pub(crate) async fn person(&self, slug: &str, role: &str) -> (String, String) {
        let owner = self.owner(slug).await;
        let email = format!("{role}@{slug}.example");
        let body = json!({"email": email, "name": role, "role": role, "password": PASSWORD});
        let made = self.post("/v1/users", &owner, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        (made.text("id"), self.sign_in(&email, PASSWORD).await.access)
    }

    pub(crate) async fn try_refresh(&self, token: &str) -> Answer {
        let body = json!({"refresh_token": token});
        self.send("POST", "/v1/auth/refresh", None, Some(body)).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Pair {
        Pair::of(&self.try_refresh(token).await)
    }

    /// Whether the credential lets in.
    pub(crate) async fn lets_in(&self, bearer: &str) -> bool {
        let answer = self.get("/v1/auth/me", bearer).await;
        assert!([200, 401].contains(&answer.status.as_u16()), "{}", answer.body);
        answer.status == StatusCode::OK
    }

    /// One number that a statement gives, asked by the superuser, whom no policy binds.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let rows =
            as_client(self.database.superuser(), async |client| client.query_one(sql, &[]).await);
        rows.await.expect("a row").get(0)
    }

    /// One text that a statement gives, asked by the superuser.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let rows =
            as_client(self.database.superuser(), async |client| client.query_one(sql, &[]).await);
        rows.await.expect("a row").get(0)
    }

    /// Runs statements as the superuser.
    pub(crate) async fn alter(&self, sql: &str) {
        let superuser = self.database.superuser();
        as_client(superuser, async |client| client.batch_execute(sql).await).await.expect("runs");
    }

    /// What a statement says when one of the program's roles runs it.
    pub(crate) async fn as_role(&self, role: DbRole, sql: &str) -> Result<u64, String> {
        let config = self.database.config(role);
        let ran = as_client(&config, async |client| client.execute(sql, &[]).await).await;
        ran.map_err(|error| error.as_db_error().map_or_else(String::new, |it| it.message().into()))
    }
}

/// Lends a connection of its own for as long as the work takes.
pub(crate) async fn as_client<T>(
    config: &tokio_postgres::Config,
    work: impl AsyncFnOnce(&tokio_postgres::Client) -> T,
) -> T {
    #[expect(clippy::disallowed_methods, reason = "looks at the database past the program")]
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("connects");
    let work = async move { work(&client).await };
    let (done, ended) = tokio::join!(work, connection);
    ended.expect("ends well");
    done
}

/// A pair of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

impl Pair {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        Self {
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
            session: answer.text("session_id"),
        }
    }
}
