//! Room `integration`: one try to deliver one event.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use misy_core::{Ctx, EventId, Timestamp};
use misy_egress::{Receipt, Shipment};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::Deps;
use crate::deliveries::model::{Attempt, Outcome, write};
use crate::endpoints::service::{OpenEndpoint, millis};

/// Headers of an answer that are kept, at most, and bytes of each.
const HEADERS_KEPT: usize = 20;
const HEADER_BYTES_KEPT: usize = 256;

/// What was sent and what came back, as it is shown and kept.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) started_at: Timestamp,
    pub(crate) elapsed_ms: i32,
    pub(crate) request: Value,
    pub(crate) request_body: String,
    pub(crate) status: Option<u16>,
    pub(crate) response_headers: Option<Value>,
    pub(crate) response_body: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Sent {
    pub(crate) fn outcome(&self) -> Outcome {
        match self.status {
            Some(status) => Outcome::Answered { status, retry_after_ms: self.retry_after_ms },
            None => Outcome::Silent,
        }
    }

    /// The try as it is kept; why it failed is said in a word.
    pub(crate) fn attempt(self, number: i16) -> Attempt {
        Attempt {
            number,
            status: self.status.and_then(|status| i16::try_from(status).ok()),
            elapsed_ms: self.elapsed_ms,
            started_at: self.started_at,
            request: self.request,
            response_headers: self.response_headers,
            response_body: self.response_body,
            error: self.error,
            address: self.address,
        }
    }
}

/// Sends an event now, once, whatever the endpoint's state and limits are. A receiver that refuses
/// the token that we show is shown a new one, once; all of it within one deadline.
pub(crate) async fn send_now(
    deps: &Deps,
    ctx: &Ctx,
    to: &OpenEndpoint,
    event: EventId,
    kind: &str,
    payload: &str,
) -> Sent {
    let mut letter = Letter::write(deps, ctx, to, event, kind, payload);
    let Some(tokens) = &to.tokens else { return letter.post(deps, ctx, to).await };
    let token = match tokens.get(deps, ctx, None, letter.deadline).await {
        Ok(token) => token,
        Err(why) => return Sent { error: Some(why), ..letter.unsent(to) },
    };
    letter.headers.insert(AUTHORIZATION, token.clone());
    let sent = letter.post(deps, ctx, to).await;
    if sent.status != Some(401) {
        return sent;
    }
    match tokens.get(deps, ctx, Some(&token), letter.deadline).await {
        Ok(new) if new != token => {
            letter.headers.insert(AUTHORIZATION, new);
            letter.post(deps, ctx, to).await
        }
        _ => sent,
    }
}

/// A request that is ready to be sent.
struct Letter {
    started_at: Timestamp,
    begun: Instant,
    deadline: Instant,
    headers: HeaderMap,
    body: String,
}

impl Letter {
    fn write(
        deps: &Deps,
        ctx: &Ctx,
        to: &OpenEndpoint,
        event: EventId,
        kind: &str,
        payload: &str,
    ) -> Self {
        let started_at = deps.ambient.now();
        let form = write(&to.endpoint.settings, ctx.tenant(), event, payload);
        let id = event.to_string();
        let mut headers = to.headers.clone();
        let signature = to.sign(&id, started_at, form.body.as_bytes());
        let own = [
            (CONTENT_TYPE, form.content_type.to_owned()),
            (HeaderName::from_static("webhook-id"), id),
            (HeaderName::from_static("webhook-timestamp"), started_at.as_second().to_string()),
            (HeaderName::from_static("webhook-signature"), signature),
            (HeaderName::from_static("webhook-event-type"), kind.to_owned()),
        ];
        for (name, text) in own {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(deps.config.deadline_ms);
        Self { started_at, begun, deadline, headers, body: form.body }
    }

    /// How it stands as long as nothing came back.
    fn unsent(&self, to: &OpenEndpoint) -> Sent {
        Sent {
            started_at: self.started_at,
            elapsed_ms: i32::try_from(self.begun.elapsed().as_millis()).unwrap_or(i32::MAX),
            request: json!({ "url": to.url.as_str(), "headers": shown(&self.headers, usize::MAX) }),
            request_body: self.body.clone(),
            status: None,
            response_headers: None,
            response_body: None,
            error: None,
            address: None,
            retry_after_ms: None,
        }
    }

    async fn post(&self, deps: &Deps, ctx: &Ctx, to: &OpenEndpoint) -> Sent {
        let shipment = Shipment {
            tenant: ctx.tenant(),
            url: to.url.clone(),
            headers: self.headers.clone(),
            body: Bytes::from(self.body.clone()),
            deadline_ms: millis(self.deadline.saturating_duration_since(Instant::now())),
            read_max_bytes: deps.config.read_max_bytes,
            private_hosts_allowed: deps.config.private_hosts_allowed,
            by: to.way.clone(),
        };
        let outcome = deps.egress.of(ctx).ship(shipment).await;
        let blank = self.unsent(to);
        match outcome {
            Ok(receipt) => answered(blank, &receipt, deps.config.kept_bytes),
            Err(error) => Sent { error: Some(error.to_string()), ..blank },
        }
    }
}

fn answered(sent: Sent, receipt: &Receipt, kept_bytes: usize) -> Sent {
    let status = receipt.status.as_u16();
    let kept = &receipt.body[..receipt.body.len().min(kept_bytes)];
    // U+0000 is the one character that the database cannot hold.
    let body = String::from_utf8_lossy(kept).replace('\0', "\u{fffd}");
    let error = (!receipt.status.is_success()).then(|| format!("answered {status}"));
    Sent {
        status: Some(status),
        response_headers: Some(shown(&receipt.headers, HEADERS_KEPT)),
        response_body: Some(body),
        error,
        address: receipt.address.map(|address| address.to_string()),
        retry_after_ms: receipt.retry_after_ms,
        ..sent
    }
}

/// Headers as an object of texts; of secret ones the name alone.
fn shown(headers: &HeaderMap, most: usize) -> Value {
    let text = |value: &HeaderValue| {
        if value.is_sensitive() {
            return "…".to_owned();
        }
        let bytes = value.as_bytes();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(HEADER_BYTES_KEPT)]);
        text.replace('\0', "\u{fffd}")
    };
    let all = headers.iter().take(most);
    let all = all.map(|(name, value)| (name.as_str().to_owned(), Value::String(text(value))));
    Value::Object(all.collect::<Map<_, _>>())
}
