//! A peer that answers every request with the same words and remembers what it heard.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use misy_channel::account::{Account, Credentials};
use misy_core::Secret;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

/// A request as it was heard.
#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

struct Script {
    status: StatusCode,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    heard: Mutex<Vec<Heard>>,
}

pub(crate) struct Peer {
    script: Arc<Script>,
    address: std::net::SocketAddr,
    _serving: JoinSet<()>,
}

async fn answer(
    State(script): State<Arc<Script>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let (line, body) =
        (format!("{method} {uri}"), serde_json::from_slice(&body).unwrap_or_default());
    script.heard.lock().expect("no panic inside").push(Heard { line, headers, body });
    let headers: HeaderMap = script
        .headers
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
        .collect();
    (script.status, headers, script.body.clone())
}

impl Peer {
    pub(crate) async fn new(status: u16, body: Value) -> Self {
        Self::with(status, &[], body.to_string()).await
    }

    pub(crate) async fn with(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: String,
    ) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        let script =
            Arc::new(Script { status, headers: headers.to_vec(), body, heard: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { script, address, _serving: serving }
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.script.heard.lock().expect("no panic inside").clone()
    }

    /// An account whose provider is this peer.
    pub(crate) fn account(&self, more: Value) -> Account {
        let mut settings: Map<String, Value> = serde_json::from_value(more).expect("an object");
        settings.insert("api_host".to_owned(), json!(format!("http://{}", self.address)));
        let secrets =
            [("access_token", "EAAtoken"), ("app_secret", "s3cret"), ("verify_token", "v")];
        let secrets = secrets.map(|(name, text)| (name.to_owned(), Secret::new(text)));
        Account {
            id: "cha_00000000000000000000000001".parse().expect("an id"),
            tenant: "ten_00000000000000000000000001".parse().expect("an id"),
            external_id: "106540352242922".to_owned(),
            credentials: Credentials(secrets.into()),
            settings,
        }
    }
}
