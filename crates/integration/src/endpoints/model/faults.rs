//! Room `integration`: everything that is wrong with an endpoint, at once; and whether it wants an
//! event, and if not, why.

use misy_core::ChannelId;
use misy_core::error::Fault;
use serde_json::Value;
use url::Url;

use super::{Condition, Endpoint, Secrets, Settings, Status};
use crate::events::model::is_pattern;

/// Names of headers that are ours, or the connection's.
const OURS: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// Headers of a kind, at most.
const HEADERS_MAX: usize = 20;

/// The longest pause between two tries, in seconds: a week.
const PAUSE_MAX_S: u32 = 7 * 24 * 3_600;

/// Every fault.
pub(crate) fn faults(endpoint: &Endpoint, secrets: &Secrets) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut say = |pointer: String, detail: &str| {
        faults.push(Fault { pointer, detail: detail.to_owned() });
    };
    if let Err(detail) = check_url(&endpoint.url) {
        say("/url".to_owned(), detail);
    }
    for (at, pattern) in endpoint.event_types.iter().flatten().enumerate() {
        if !is_pattern(pattern) {
            say(format!("/event_types/{at}"), "expected a type like order.created or order.*");
        }
    }
    for (at, condition) in endpoint.conditions.iter().enumerate() {
        if let Some(detail) = condition.fault() {
            say(format!("/conditions/{at}"), detail);
        }
    }
    let Settings { headers, retry_schedule_s, allowed_networks, .. } = &endpoint.settings;
    let secret =
        secrets.headers.iter().map(|(name, value)| ("secret_headers", name, value.expose()));
    let plain = headers.iter().map(|(name, value)| ("settings/headers", name, value.as_str()));
    for (list, name, value) in plain.chain(secret) {
        if !is_header(name, value) {
            say(format!("/{list}/{name}"), "is not a header that may be set");
        }
    }
    let of_oauth = endpoint.settings.oauth.iter().flat_map(super::OAuth::faults);
    for (place, fault) in of_oauth {
        say(format!("/settings/oauth{place}"), fault);
    }
    if endpoint.settings.oauth.is_some() {
        let named = |name: &String| name.eq_ignore_ascii_case("authorization");
        if headers.keys().chain(secrets.headers.keys()).any(named) {
            say("/settings/oauth".to_owned(), "there is a header `authorization` as well");
        }
        if secrets.oauth.as_ref().is_none_or(|secret| secret.expose().is_empty()) {
            say("/oauth_client_secret".to_owned(), "is missing");
        }
    }
    if headers.len() > HEADERS_MAX || secrets.headers.len() > HEADERS_MAX {
        say("/settings/headers".to_owned(), "there may be 20 headers of either kind");
    }
    if retry_schedule_s.iter().any(|pause| !(1..=PAUSE_MAX_S).contains(pause)) {
        say("/settings/retry_schedule_s".to_owned(), "a pause has 1 to 604800 seconds");
    }
    for (at, network) in allowed_networks.iter().enumerate() {
        if network.parse::<misy_egress::guard::Net>().is_err() {
            say(format!("/settings/allowed_networks/{at}"), "expected a network: 192.0.2.0/24");
        }
    }
    faults
}

pub(super) fn check_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    match () {
        () if !matches!(url.scheme(), "https" | "http") => Err("has to begin with https://"),
        () if url.host_str().is_none_or(str::is_empty) => Err("has no host"),
        () if !url.username().is_empty() || url.password().is_some() => {
            Err("must not hold credentials; use a secret header")
        }
        () if url.fragment().is_some() => Err("must not hold a fragment"),
        () if text.contains('\0') => Err("is no URL"),
        () => Ok(()),
    }
}

fn is_header(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let ours = OURS.contains(&lower.as_str()) || lower.starts_with("proxy-");
    let name = http::HeaderName::try_from(lower);
    !ours && name.is_ok() && value.len() <= 4_096 && http::HeaderValue::from_str(value).is_ok()
}

/// Why an endpoint does not get an event; `None` if it does. The outbox asks the same in SQL.
pub(crate) fn wants(
    endpoint: &Endpoint,
    kind: &str,
    channel: Option<ChannelId>,
    payload: &Value,
) -> Option<&'static str> {
    let fits = |pattern: &String| {
        let wide = pattern.strip_suffix('*').is_some_and(|area| kind.starts_with(area));
        pattern == kind || wide
    };
    let holds = |condition: &Condition| condition.holds(payload);
    match () {
        () if endpoint.status == Status::Unverified => Some("it has not answered the challenge"),
        () if endpoint.status == Status::Disabled => Some("it is disabled"),
        () if endpoint.event_types.as_ref().is_some_and(|all| !all.iter().any(fits)) => {
            Some("it does not want this type")
        }
        () if endpoint
            .channels
            .as_ref()
            .is_some_and(|all| channel.is_none_or(|one| !all.contains(&one))) =>
        {
            Some("it does not want this channel")
        }
        () if !endpoint.conditions.iter().all(holds) => Some("a condition does not hold"),
        () => None,
    }
}
