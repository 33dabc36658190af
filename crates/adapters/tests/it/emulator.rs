//! The emulator of the Graph API, as the conformance suite wants it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::routing::get;
use http::Method;
use misy_channel::account::{Account, Credentials};
use misy_channel::conformance::{Hook, Order, Received, Remote};
use misy_channel::content::Template;
use misy_channel::event::{IdentityClaim, PHONE};
use misy_channel::outbound::Recipient;
use misy_core::{Personal, Secret};
use misy_egress::{Call, Config, Egress, Gateway};
use misy_sandbox::{Running, Sandbox};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

const CUSTOMER: &str = "491515550001";
const SILENT: &str = "491515550002";
const NAMELESS: &str = "DE.4711";
/// How long to wait for what never comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way out of the tenant whose accounts these tests use.
pub(crate) fn egress() -> Egress {
    let config = Config { private_hosts_allowed: true, ..Config::default() };
    let ctx = misy_testkit::ctx(Emulator::account_id().0, misy_core::Role::Owner);
    Gateway::new(config, misy_testkit::ambient()).of(&ctx)
}

#[derive(Default)]
struct Book {
    hooks: Mutex<Vec<Hook>>,
    bell: Notify,
}

async fn receive(State(book): State<Arc<Book>>, headers: HeaderMap, body: Bytes) {
    let hook = Hook { headers, raw: body.to_vec() };
    book.hooks.lock().expect("no panic inside").push(hook);
    book.bell.notify_waiters();
}

async fn greet(RawQuery(query): RawQuery) -> String {
    let query = query.unwrap_or_default();
    let challenge = query.split('&').find_map(|pair| pair.strip_prefix("hub.challenge="));
    challenge.unwrap_or_default().to_owned()
}

pub(crate) struct Emulator {
    running: Running,
    account: Value,
    io: Egress,
    book: Arc<Book>,
    _serving: JoinSet<()>,
}

impl Emulator {
    pub(crate) async fn start() -> Self {
        let config = misy_sandbox::Config::default();
        let running = Sandbox::start(config, misy_testkit::ambient()).await.expect("it starts");
        let book = Arc::new(Book::default());
        let router =
            Router::new().route("/hook", get(greet).post(receive)).with_state(Arc::clone(&book));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let mut emulator =
            Self { running, account: Value::Null, io: egress(), book, _serving: serving };
        let accounts = emulator.script(Method::GET, "", Value::Null).await;
        emulator.account = accounts["data"][0].clone();
        emulator.of_account(Method::PUT, "/webhook", json!({ "url": url })).await;
        // Nothing of the suite is about pace, and its clock stands still.
        let calm = json!({"pair_burst": 0, "mps": 0, "management_per_hour": 0});
        emulator.of_account(Method::PATCH, "/behaviour", calm).await;
        emulator.say(json!({"from": CUSTOMER, "text": "hello"})).await;
        emulator.say(json!({"from": SILENT, "text": "hello"})).await;
        emulator.say(json!({"user_id": NAMELESS, "bsuid_only": true, "text": "hello"})).await;
        let window = format!("/phones/{SILENT}/window");
        emulator.of_account(Method::POST, &window, json!({"closed": true})).await;
        emulator
    }

    async fn script(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("http://{}/sandbox/accounts{path}", self.running.address());
        let account = Self::account_id();
        let mut call = Call::new(account.0, account.1, method, &url, "/sandbox").expect("a URL");
        if !body.is_null() {
            call = call.body("application/json", body.to_string());
        }
        call.private_hosts_allowed = true;
        call.max_body_bytes = Some(16 << 20);
        let answer = self.io.call(call).await.expect("the emulator answers");
        assert!(answer.status.is_success(), "{path}: {:?}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    async fn of_account(&self, method: Method, path: &str, body: Value) -> Value {
        let id = self.text("phone_number_id");
        self.script(method, &format!("/{id}{path}"), body).await
    }

    async fn say(&self, said: Value) -> String {
        let told = self.of_account(Method::POST, "/messages", said).await;
        told["id"].as_str().expect("an id").to_owned()
    }

    fn text(&self, name: &str) -> String {
        self.account[name].as_str().expect("a text").to_owned()
    }

    fn account_id() -> (misy_core::TenantId, misy_core::ChannelId) {
        let tenant = "ten_00000000000000000000000001".parse().expect("an id");
        (tenant, "cha_00000000000000000000000001".parse().expect("an id"))
    }

    fn account_with(&self, token: &str) -> Account {
        let (tenant, id) = Self::account_id();
        let secrets = [
            ("access_token", token.to_owned()),
            ("app_secret", self.text("app_secret")),
            ("verify_token", self.text("verify_token")),
        ];
        let secrets = secrets.map(|(name, text)| (name.to_owned(), Secret::new(text)));
        let host = json!(format!("http://{}", self.running.address()));
        Account {
            id,
            tenant,
            external_id: self.text("phone_number_id"),
            credentials: Credentials(secrets.into()),
            settings: serde_json::Map::from_iter([("api_host".to_owned(), host)]),
        }
    }
}

fn by(namespace: &'static str, value: &str) -> Recipient {
    Recipient(vec![IdentityClaim { namespace, value: Personal(value.to_owned()) }])
}

#[async_trait]
impl Remote for Emulator {
    fn account(&self) -> Account {
        self.account_with(&self.text("access_token"))
    }

    fn account_with_bad_token(&self) -> Option<Account> {
        Some(self.account_with("EAAwrong"))
    }

    fn customer(&self) -> Recipient {
        by(PHONE, &format!("+{CUSTOMER}"))
    }

    fn customer_by_user_id(&self) -> Option<Recipient> {
        Some(by("whatsapp_user_id", NAMELESS))
    }

    fn silent_customer(&self) -> Option<Recipient> {
        Some(by(PHONE, &format!("+{SILENT}")))
    }

    fn template(&self) -> Option<Template> {
        let (name, language) = ("hello_world".to_owned(), "en_US".to_owned());
        Some(Template { name, language, components: Vec::new() })
    }

    fn handshake(&self) -> Option<String> {
        let token = self.text("verify_token");
        Some(format!("hub.mode=subscribe&hub.challenge=12345&hub.verify_token={token}"))
    }

    async fn customer_writes(&self, text: &str) -> String {
        self.say(json!({"from": CUSTOMER, "name": "Jörg", "text": text})).await
    }

    async fn order(&self, order: Order) -> bool {
        let patch = match order {
            Order::Calm => json!({"status_before_response": null, "lose_response": null,
                "fail_next": null}),
            Order::StatusFirst => json!({"status_before_response": true}),
            Order::LoseAnswer => json!({"lose_response": 1}),
            Order::Throttle => json!({"fail_next": {"code": 130_429}}),
            Order::Falter => json!({"fail_next": {"code": 131_016}}),
        };
        self.of_account(Method::PATCH, "/behaviour", patch).await;
        true
    }

    async fn received(&self) -> Vec<Received> {
        let outbound = self.of_account(Method::GET, "/outbound", Value::Null).await;
        let show = |one: &Value| Received {
            external_id: one["id"].as_str().unwrap_or_default().to_owned(),
            form: one["type"].as_str().unwrap_or_default().to_owned(),
            raw: one["payload"].to_string(),
        };
        outbound["data"].as_array().into_iter().flatten().map(show).collect()
    }

    async fn hooks(&self, is_enough: &(dyn for<'a> Fn(&'a [Hook]) -> bool + Sync)) -> Vec<Hook> {
        let all = || self.book.hooks.lock().expect("no panic inside").clone();
        let enough = async {
            loop {
                let rung = self.book.bell.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if is_enough(&all()) {
                    return;
                }
                rung.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, enough).await;
        all()
    }
}
