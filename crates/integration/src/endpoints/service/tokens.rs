//! Room `integration`: access tokens for receivers that ask for one. They are fetched through the
//! same way out as deliveries, kept until they end, and fetched once for all that wait.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use jiff::SignedDuration;
use misy_core::{Ctx, Secret, Timestamp};
use misy_egress::{Receipt, Shipment};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::Deps;
use crate::endpoints::model::{ClientAuthentication, OAuth};

/// How long a token is good whose end is not told.
const UNTOLD: SignedDuration = SignedDuration::from_mins(5);

/// The longest time for which a token is believed, whatever is told.
const LONGEST_S: i64 = 24 * 3_600;

/// So much before its end a token is not used any more, or a tenth of its life if that is less.
const MARGIN_S: i64 = 30;

/// A refused token is not replaced if it is younger than this: another one would be refused as
/// well. So long, too, nobody asks again who was just refused.
const YOUNG: SignedDuration = SignedDuration::from_secs(5);

/// Bytes of a token server's answer that are read.
const READ_MAX_BYTES: usize = 64 * 1024;

/// A token, or why there is none.
struct Known {
    outcome: Result<HeaderValue, String>,
    since: Timestamp,
    until: Timestamp,
}

/// Fetches and keeps the tokens of one endpoint.
pub(crate) struct Tokens {
    oauth: OAuth,
    url: Url,
    secret: Secret,
    known: Mutex<Option<Known>>,
}

impl Tokens {
    pub(super) fn new(oauth: OAuth, secret: Secret) -> Result<Self, url::ParseError> {
        let url = Url::parse(&oauth.token_url)?;
        Ok(Self { oauth, url, secret, known: Mutex::default() })
    }

    /// The value of `authorization`, or why there is none. One that was `refused` is replaced.
    pub(crate) async fn get(
        &self,
        deps: &Deps,
        ctx: &Ctx,
        refused: Option<&HeaderValue>,
        deadline: Instant,
    ) -> Result<HeaderValue, String> {
        let work = self.find_or_fetch(deps, ctx, refused, deadline);
        let late = |_| Err("no access token: the token server gave none in time".to_owned());
        timeout_at(deadline, work).await.unwrap_or_else(late)
    }

    async fn find_or_fetch(
        &self,
        deps: &Deps,
        ctx: &Ctx,
        refused: Option<&HeaderValue>,
        deadline: Instant,
    ) -> Result<HeaderValue, String> {
        let mut known = self.known.lock().await;
        let now = deps.ambient.now();
        if let Some(known) = known.as_ref().filter(|it| now < it.until) {
            let is_refused = known.outcome.as_ref().ok() == refused && refused.is_some();
            if !is_refused || now.duration_since(known.since) < YOUNG {
                return known.outcome.clone();
            }
        }
        let (outcome, life) = match self.fetch(deps, ctx, deadline).await {
            Ok((token, life)) => (Ok(token), life),
            Err(why) => (Err(format!("no access token: {why}")), YOUNG),
        };
        let label = if outcome.is_ok() { "given" } else { "refused" };
        metrics::counter!("misy_webhook_tokens_total", "outcome" => label).increment(1);
        let until = now.checked_add(life).unwrap_or(Timestamp::MAX);
        *known = Some(Known { outcome: outcome.clone(), since: now, until });
        outcome
    }

    async fn fetch(
        &self,
        deps: &Deps,
        ctx: &Ctx,
        deadline: Instant,
    ) -> Result<(HeaderValue, SignedDuration), String> {
        let left = deadline.saturating_duration_since(Instant::now());
        let (headers, body) = self.question();
        let shipment = Shipment {
            tenant: ctx.tenant(),
            url: self.url.clone(),
            headers,
            body,
            deadline_ms: millis(left),
            read_max_bytes: READ_MAX_BYTES,
            private_hosts_allowed: deps.config.private_hosts_allowed,
            by: None,
        };
        let receipt = deps.egress.of(ctx).ship(shipment).await.map_err(|it| it.to_string())?;
        understand(&receipt)
    }

    /// A form (RFC 6749 section 4.4.2).
    fn question(&self) -> (HeaderMap, Bytes) {
        let OAuth { client_id, scope, audience, .. } = &self.oauth;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        for (name, value) in [("scope", scope), ("audience", audience)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match self.oauth.client_authentication {
            ClientAuthentication::Body => {
                form.append_pair("client_id", client_id);
                form.append_pair("client_secret", self.secret.expose());
            }
            ClientAuthentication::Basic => {
                let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", part(client_id), part(self.secret.expose()));
                if let Some(value) = sensitive(&format!("Basic {}", STANDARD.encode(pair))) {
                    headers.insert(AUTHORIZATION, value);
                }
            }
        }
        (headers, Bytes::from(form.finish()))
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    token_type: String,
    /// A number, or a text with one: some servers write it so.
    #[serde(default)]
    expires_in: Value,
}

/// What a token server says (RFC 6749 sections 5.1 and 5.2). Of an error only its code is passed
/// on, which is one of a closed set of letters.
fn understand(receipt: &Receipt) -> Result<(HeaderValue, SignedDuration), String> {
    let status = receipt.status.as_u16();
    if !receipt.status.is_success() {
        let body: Value = serde_json::from_slice(&receipt.body).unwrap_or_default();
        let code = body["error"].as_str().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        let told = !code.is_empty() && code.len() <= 50 && code.bytes().all(plain);
        let code = if told { format!(" ({code})") } else { String::new() };
        return Err(format!("the token server answered {status}{code}"));
    }
    let misunderstood = || "the answer of the token server is not understood".to_owned();
    let given: Given = serde_json::from_slice(&receipt.body).map_err(|_| misunderstood())?;
    if !given.token_type.eq_ignore_ascii_case("bearer") {
        return Err("the token server gives no bearer tokens".to_owned());
    }
    let token = sensitive(&format!("Bearer {}", given.access_token)).ok_or_else(misunderstood)?;
    let told = given.expires_in.as_i64();
    let told = told.or_else(|| given.expires_in.as_str().and_then(|text| text.parse().ok()));
    let life = told.map_or(UNTOLD, |life_s: i64| {
        let life_s = life_s.clamp(0, LONGEST_S);
        SignedDuration::from_secs(life_s - MARGIN_S.min(life_s / 10))
    });
    Ok((token, life))
}
