//! Room `bench`: tenants with endpoints, and the publishers.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::sink::Sink;
use super::{Drive, Settings};
use crate::Failure;
use crate::http::Connection;

/// Microseconds since this process first asked.
pub(super) fn clock_us() -> u64 {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGUN.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Who publishes.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// `host:port`.
    pub(super) api: String,
    pub(super) bearer: String,
    pub(super) tongue: Tongue,
}

/// How an event is told, and where.
#[derive(Debug, Clone)]
pub(super) enum Tongue {
    /// `POST /v1/events`.
    Own,
    /// `POST /api/v1/app/{app}/msg/`, as Svix has it
    /// (<https://api.svix.com/docs#tag/Message/operation/v1.message.create>).
    Peer {
        /// The path.
        path: String,
    },
}

impl Tongue {
    fn path(&self) -> &str {
        match self {
            Self::Own => "/v1/events",
            Self::Peer { path } => path,
        }
    }

    fn event(&self, data: &Value) -> Value {
        match self {
            Self::Own => json!({ "type": TYPE, "data": data }),
            Self::Peer { .. } => json!({ "eventType": TYPE, "payload": data }),
        }
    }

    fn id(&self, answer: &Value) -> Result<String, Failure> {
        match self {
            Self::Own => text(&answer["data"][0], "id"),
            Self::Peer { .. } => text(answer, "id"),
        }
    }
}

const TYPE: &str = "bench.happened";

/// Signs the operator in.
pub(super) async fn sign_in(settings: &Settings) -> Result<String, Failure> {
    let mut api = Connection::open(&settings.drive.api).await?;
    let login = json!({ "email": settings.email, "password": settings.password });
    let signed_in = api.json(Method::POST, "/v1/auth/login", None, &login).await?;
    text(&signed_in, "access_token")
}

/// A tenant with an endpoint for each receiver.
pub(super) async fn tenant(
    settings: &Settings,
    operator: &str,
    name: &str,
    sinks: &[&Sink],
    in_flight: u32,
) -> Result<Account, Failure> {
    let mut api = Connection::open(&settings.drive.api).await?;
    let slug = format!("{name}-{}", std::process::id());
    let (password, email) = (format!("{slug}-Passw0rd!"), format!("owner@{slug}.example"));
    let owner = json!({ "email": email, "name": "Owner", "password": password });
    let new = json!({ "slug": slug, "name": slug, "owner": owner, "plan": "unlimited" });
    api.json(Method::POST, "/v1/tenants", Some(operator), &new).await?;
    let login = json!({ "email": email, "password": password });
    let signed_in = api.json(Method::POST, "/v1/auth/login", None, &login).await?;
    let bearer = text(&signed_in, "access_token")?;
    for sink in sinks {
        let endpoint = json!({ "url": sink.url(), "in_flight": in_flight });
        api.json(Method::POST, "/v1/webhook-endpoints", Some(&bearer), &endpoint).await?;
    }
    Ok(Account { api: settings.drive.api.clone(), bearer, tongue: Tongue::Own })
}

/// Switches all its endpoints off.
pub(super) async fn switch_off(account: &Account) -> Result<(), Failure> {
    const PATH: &str = "/v1/webhook-endpoints";
    let mut api = Connection::open(&account.api).await?;
    let list = api.json(Method::GET, PATH, Some(&account.bearer), &Value::Null).await?;
    let endpoints = list["data"].as_array().ok_or("the answer has no `data`")?;
    let authorization = format!("Bearer {}", account.bearer);
    let headers =
        [("content-type", "application/merge-patch+json"), ("authorization", &authorization)];
    for endpoint in endpoints {
        let path = format!("{PATH}/{}", text(endpoint, "id")?);
        let off = Bytes::from_static(br#"{"enabled": false}"#);
        let (status, answer) = api.call(Method::PATCH, &path, &headers, off).await?;
        if !status.is_success() {
            let shown = String::from_utf8_lossy(&answer);
            return Err(format!("an endpoint is not switched off: {status} {shown}").into());
        }
    }
    Ok(())
}

/// Publishes so many events, at a rate if one is given; gives the ids of what was accepted.
pub(super) async fn publish(
    drive: &Drive,
    account: &Account,
    count: usize,
    per_s: Option<f64>,
) -> Result<Vec<String>, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let pause = per_s.map(|per_s| Duration::from_secs_f64(1.0 / per_s));
    let (begun, mut publishers) = (Instant::now(), JoinSet::new());
    for _ in 0..drive.connections {
        let (next, account) = (Arc::clone(&next), account.clone());
        publishers.spawn(async move {
            let mut connection = Connection::open(&account.api).await?;
            let mut ids = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, Failure>(ids);
                }
                if let Some(pause) = pause {
                    tokio::time::sleep_until((begun + pause.mul_f64(number as f64)).into()).await;
                }
                ids.push(one(&mut connection, &account, number).await?);
            }
        });
    }
    let mut ids = Vec::with_capacity(count);
    while let Some(published) = publishers.join_next().await {
        ids.extend(published??);
    }
    Ok(ids)
}

async fn one(
    connection: &mut Connection,
    account: &Account,
    number: usize,
) -> Result<String, Failure> {
    let data = json!({ "number": number, "at_us": clock_us(), "text": "x".repeat(200) });
    let answer = post(connection, account, &account.tongue.event(&data)).await?;
    account.tongue.id(&answer)
}

async fn post(
    connection: &mut Connection,
    account: &Account,
    body: &Value,
) -> Result<Value, Failure> {
    let authorization = format!("Bearer {}", account.bearer);
    let headers = [("content-type", "application/json"), ("authorization", &authorization)];
    let body = Bytes::from(serde_json::to_vec(body)?);
    let answer = connection.call(Method::POST, account.tongue.path(), &headers, body).await?;
    if answer.0 != StatusCode::ACCEPTED {
        let shown = String::from_utf8_lossy(&answer.1);
        return Err(format!("an event was answered {} {shown}", answer.0).into());
    }
    Ok(serde_json::from_slice(&answer.1)?)
}

/// Publishes so many by the hundred, to make a backlog.
pub(super) async fn publish_batches(account: &Account, count: usize) -> Result<(), Failure> {
    let mut connection = Connection::open(&account.api).await?;
    for batch in 0..count / 500 {
        let event = json!({ "type": TYPE, "data": { "batch": batch } });
        let body = json!({ "events": vec![event; 500] });
        post(&mut connection, account, &body).await?;
    }
    Ok(())
}

pub(super) fn text(object: &Value, name: &str) -> Result<String, Failure> {
    let found = object[name].as_str().map(str::to_owned);
    found.ok_or_else(|| format!("the answer has no `{name}`").into())
}
