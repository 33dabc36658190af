//! Room `adapters`: how Meta says that we call too much: `X-App-Usage` and
//! `X-Business-Use-Case-Usage` hold shares of the allowance in per cent
//! (<https://developers.facebook.com/docs/graph-api/overview/rate-limiting>).

use std::collections::BTreeMap;

use misy_channel::outbound::FailureKind;
use misy_egress::{Answer, Pacing};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors::{GraphError, find_shared};

const MINUTE_MS: u64 = 60_000;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    call_count: f64,
    total_time: f64,
    total_cputime: f64,
    /// Minutes.
    estimated_time_to_regain_access: f64,
}

impl Usage {
    fn pacing(&self) -> Pacing {
        let percent = self.call_count.max(self.total_time).max(self.total_cputime);
        let minutes = whole(self.estimated_time_to_regain_access);
        let pause_ms = (minutes > 0).then(|| minutes.saturating_mul(MINUTE_MS));
        Pacing { pause_ms, used_percent: Some(u32::try_from(whole(percent)).unwrap_or(100)) }
    }
}

/// Rounds up without a cast that could lose anything.
fn whole(number: f64) -> u64 {
    format!("{:.0}", number.clamp(0.0, 1e9).ceil()).parse().unwrap_or(0)
}

fn of_app(text: &str) -> Vec<Pacing> {
    read(text).iter().map(Usage::pacing).collect()
}

fn of_business(text: &str) -> Vec<Pacing> {
    let all: BTreeMap<String, Vec<&RawValue>> = serde_json::from_str(text).unwrap_or_default();
    all.values().flatten().filter_map(|raw| read(raw.get())).map(|usage| usage.pacing()).collect()
}

/// A list would pass for a usage without any share.
fn read(text: &str) -> Option<Usage> {
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// Reads an answer's headers, and its error where the whole account is too fast. A limit between
/// two people alone does not slow the others down.
pub(crate) fn pacing(answer: &Answer) -> Pacing {
    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let mut found = header("x-app-usage").map(of_app).unwrap_or_default();
    found.extend(header("x-business-use-case-usage").map(of_business).unwrap_or_default());
    if !answer.status.is_success() {
        let error = GraphError::in_body(&answer.body).unwrap_or_default();
        let rule = error.code.and_then(|code| find_shared(code, error.subcode));
        let throttled = rule.filter(|rule| rule.kind == FailureKind::Throttled);
        found.extend(
            throttled.map(|rule| Pacing { pause_ms: rule.retry_after_ms, used_percent: None }),
        );
    }
    found.into_iter().fold(Pacing::default(), |a, b| Pacing {
        pause_ms: a.pause_ms.max(b.pause_ms),
        used_percent: a.used_percent.max(b.used_percent),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};

    fn answer(name: &'static str, value: &str, status: u16, body: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).expect("visible text"));
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers,
            body: body.into(),
            elapsed_ms: 1,
            retry_after_ms: None,
        }
    }

    #[test]
    fn the_highest_share_counts() {
        let app = answer(
            "x-app-usage",
            r#"{"call_count":28,"total_time":91.2,"total_cputime":3}"#,
            200,
            "",
        );
        assert_eq!(pacing(&app), Pacing { pause_ms: None, used_percent: Some(92) });
        let used_up = r#"{"type":"w","call_count":100,"estimated_time_to_regain_access":3}"#;
        let business = format!(r#"{{"17":[{used_up}],"18":[1]}}"#);
        let business = answer("x-business-use-case-usage", &business, 200, "");
        assert_eq!(pacing(&business), Pacing { pause_ms: Some(180_000), used_percent: Some(100) });
    }

    #[test]
    fn only_a_limit_of_the_whole_app_stops_the_account() {
        let whole = answer("x", "", 400, r#"{"error":{"code":4}}"#);
        assert_eq!(pacing(&whole).pause_ms, Some(60_000));
        let pair = answer("x", "", 400, r#"{"error":{"code":131056}}"#);
        assert_eq!(pacing(&pair), Pacing::default());
    }

    #[test]
    fn nonsense_is_ignored() {
        for text in ["", "{", "[]", "{\"call_count\":\"x\"}"] {
            assert_eq!(pacing(&answer("x-app-usage", text, 200, "")), Pacing::default());
        }
    }
}
