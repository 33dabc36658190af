//! Room `sandbox`: a stage for tests: an emulator with a clock that stands still, and a receiver of
//! webhooks that does as it is told.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use misy_core::Timestamp;
use misy_sandbox::{Config, Running, Sandbox};
use misy_testkit::{HandClock, ambient_with};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A clock that stands at a round second.
pub(crate) fn clock() -> HandClock {
    HandClock::at(Timestamp::from_second(1_790_000_000).expect("in range"))
}

/// One webhook as it arrived.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Post {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a webhook is JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Every change of every entry.
    pub(crate) fn changes(&self) -> Vec<Value> {
        let body = self.json();
        let entries = body["entry"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .flat_map(|it| it["changes"].as_array().cloned().unwrap_or_default())
            .collect()
    }

    /// Every item of a list (`messages`, `statuses`) in it.
    pub(crate) fn items(&self, list: &str) -> Vec<Value> {
        let changes = self.changes();
        changes
            .iter()
            .flat_map(|it| it["value"][list].as_array().cloned().unwrap_or_default())
            .collect()
    }
}

#[derive(Default)]
struct Book {
    posts: Mutex<Vec<Post>>,
    /// Statuses of the next answers; 200 after that.
    answers: Mutex<VecDeque<u16>>,
    challenge: Mutex<Option<String>>,
    verify_token: Mutex<String>,
    bell: tokio::sync::Notify,
}

/// A receiver of webhooks.
pub(crate) struct Receiver {
    pub(crate) url: String,
    book: Arc<Book>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(verify_token: &str) -> Self {
        let book = Arc::new(Book::default());
        verify_token.clone_into(&mut book.verify_token.lock().expect("not poisoned"));
        let router =
            Router::new().route("/hook", get(greet).post(receive)).with_state(Arc::clone(&book));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, router).await.expect("serves until dropped");
        });
        Self { url: format!("http://{address}/hook"), book, _tasks: tasks }
    }

    /// The statuses of the next answers.
    pub(crate) fn will_answer(&self, statuses: &[u16]) {
        self.book.answers.lock().expect("not poisoned").extend(statuses);
    }

    /// Answers the handshake with this instead of the challenge.
    pub(crate) fn will_challenge(&self, text: &str) {
        *self.book.challenge.lock().expect("not poisoned") = Some(text.to_owned());
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.book.posts.lock().expect("not poisoned").clone()
    }

    /// All items of a list in all posts so far.
    pub(crate) fn items(&self, list: &str) -> Vec<Value> {
        self.posts().iter().flat_map(|post| post.items(list)).collect()
    }

    /// Waits until what has arrived is enough.
    pub(crate) async fn until(&self, enough: impl Fn(&Self) -> bool) {
        within(async {
            loop {
                let rung = self.book.bell.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if enough(self) {
                    return;
                }
                rung.await;
            }
        })
        .await;
    }

    /// Waits for so many items of a list.
    pub(crate) async fn until_items(&self, list: &str, count: usize) -> Vec<Value> {
        self.until(|it| it.items(list).len() >= count).await;
        self.items(list)
    }

    /// Waits for a status of a message.
    pub(crate) async fn until_status(&self, id: &str, status: &str) -> Value {
        let is_it = |item: &Value| item["id"] == id && item["status"] == status;
        self.until(|it| it.items("statuses").iter().any(is_it)).await;
        self.items("statuses").into_iter().find(is_it).expect("just seen")
    }
}

/// Gives up on what never happens.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens in time")
}

async fn greet(State(book): State<Arc<Book>>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let query = query.unwrap_or_default();
    let of = |key: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let is_known = of("hub.verify_token") == *book.verify_token.lock().expect("not poisoned");
    if of("hub.mode") != "subscribe" || !is_known {
        return (StatusCode::FORBIDDEN, "wrong verify token".to_owned());
    }
    let other = book.challenge.lock().expect("not poisoned").clone();
    (StatusCode::OK, other.unwrap_or_else(|| of("hub.challenge")))
}

async fn receive(State(book): State<Arc<Book>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    book.posts.lock().expect("not poisoned").push(Post { headers, body });
    let answer = book.answers.lock().expect("not poisoned").pop_front();
    book.bell.notify_waiters();
    StatusCode::from_u16(answer.unwrap_or(200)).expect("a status")
}

/// An answer to a call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The error code of the Graph side.
    pub(crate) fn code(&self) -> u64 {
        self.body["error"]["code"].as_u64().unwrap_or(0)
    }

    /// Message and detail of the Graph side, in one line.
    pub(crate) fn words(&self) -> String {
        let error = &self.body["error"];
        let details = error["error_data"]["details"].as_str().unwrap_or_default();
        format!("{} {details}", error["message"].as_str().unwrap_or_default()).trim().to_owned()
    }

    /// The id of a message that was accepted.
    pub(crate) fn wamid(&self) -> String {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.body["messages"][0]["id"].as_str().expect("a message id").to_owned()
    }
}

/// An emulator, its first account, and a receiver that it knows.
pub(crate) struct Stage {
    pub(crate) clock: HandClock,
    pub(crate) receiver: Receiver,
    pub(crate) running: Running,
    pub(crate) account: Value,
    http: reqwest::Client,
}

pub(crate) const CUSTOMER: &str = "491515550001";

pub(crate) async fn start(config: Config, clock: &HandClock, seed: u64) -> Running {
    Sandbox::start(config, ambient_with(clock, seed)).await.expect("it starts")
}

pub(crate) fn config_in(data: &Path) -> Config {
    Config { data: Some(data.to_owned()), ..Config::default() }
}

impl Stage {
    /// In memory, with a receiver.
    pub(crate) async fn set() -> Self {
        Self::set_with(Config::default()).await
    }

    pub(crate) async fn set_with(config: Config) -> Self {
        let clock = clock();
        let running = start(config, &clock, 0).await;
        let stage = Self::around(running, clock).await;
        stage.connect().await;
        stage
    }

    /// Around an emulator that runs already; no receiver is told to it.
    pub(crate) async fn around(running: Running, clock: HandClock) -> Self {
        let http = client();
        let url = format!("http://{}/sandbox/accounts", running.address());
        let accounts: Value =
            http.get(url).send().await.expect("answers").json().await.expect("JSON");
        let account = accounts["data"][0].clone();
        let receiver = Receiver::start(account["verify_token"].as_str().expect("a token")).await;
        Self { clock, receiver, running, account, http }
    }

    /// Tells the receiver to the emulator.
    pub(crate) async fn connect(&self) {
        let answer = self.script("PUT", "/webhook", json!({"url": self.receiver.url})).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }

    pub(crate) fn advance_s(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1_000);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address()
    }

    pub(crate) fn number(&self) -> &str {
        self.account["phone_number_id"].as_str().expect("an id")
    }

    pub(crate) fn waba(&self) -> &str {
        self.account["waba_id"].as_str().expect("an id")
    }

    pub(crate) fn token(&self) -> &str {
        self.account["access_token"].as_str().expect("a token")
    }

    pub(crate) fn secret(&self) -> &str {
        self.account["app_secret"].as_str().expect("a secret")
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.http.request(method, format!("http://{}{path}", self.address()))
    }

    /// A call of the script API, below the account.
    pub(crate) async fn script(&self, method: &str, path: &str, body: Value) -> Answer {
        let path = format!("/sandbox/accounts/{}{path}", self.number());
        let request = self.request(method, &path);
        let request = if body.is_null() { request } else { request.json(&body) };
        call(request).await
    }

    pub(crate) async fn look(&self, path: &str) -> Value {
        let answer = self.script("GET", path, Value::Null).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body
    }

    pub(crate) async fn behave(&self, patch: Value) {
        let answer = self.script("PATCH", "/behaviour", patch).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }

    /// A call of the Graph side with the account's token.
    pub(crate) async fn graph(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(method, &format!("/v25.0{path}")).bearer_auth(self.token());
        let request = if body.is_null() { request } else { request.json(&body) };
        call(request).await
    }

    pub(crate) async fn send(&self, body: Value) -> Answer {
        self.graph("POST", &format!("/{}/messages", self.number()), body).await
    }

    pub(crate) async fn send_text(&self, text: &str) -> Answer {
        self.send(text_message(CUSTOMER, text)).await
    }

    /// A customer writes, so that the window is open.
    pub(crate) async fn say(&self, said: Value) -> String {
        let answer = self.script("POST", "/messages", said).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn say_text(&self, text: &str) -> String {
        self.say(json!({"from": CUSTOMER, "name": "Jörg", "type": "text", "text": text})).await
    }

    pub(crate) async fn upload(&self, mime_type: &str, bytes: Vec<u8>) -> Answer {
        let boundary = "sandbox-boundary";
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\n\
             whatsapp\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"file\"\r\nContent-Type: {mime_type}\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(&bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let path = format!("/v25.0/{}/media", self.number());
        let request = self.request("POST", &path).bearer_auth(self.token());
        let kind = format!("multipart/form-data; boundary={boundary}");
        call(request.header("Content-Type", kind).body(body)).await
    }
}

pub(crate) fn client() -> reqwest::Client {
    #[expect(clippy::disallowed_methods, reason = "tests are clients from outside")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().build().expect("a client")
}

pub(crate) async fn call(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.expect("a body");
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, headers, body }
}

pub(crate) fn text_message(to: &str, text: &str) -> Value {
    json!({
        "messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "text",
        "text": {"body": text},
    })
}

impl Stage {
    /// Waits until no webhook is pending, and gives the counts.
    pub(crate) async fn settle(&self) -> Value {
        within(async {
            loop {
                let stats = self.look("/stats").await;
                if stats["webhooks_pending"] == 0 {
                    return stats;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}
