//! Room `sandbox`: checks a delivery as a receiver does who has read the Standard Webhooks
//! specification and nothing of our code
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use axum::http::HeaderMap;
use data_encoding::BASE64;
use misy_core::{Timestamp, crypto};
use serde::Serialize;

/// How far a delivery's time may be off, in seconds.
const TOLERANCE_S: i64 = 300;

/// What is to be said of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// One of the secrets signed it.
    Genuine,
    /// The sink was given no secret.
    NoSecret,
    /// A header is missing.
    Unsigned,
    /// Its time is too far off.
    TooOld,
    /// No entry fits any secret.
    Mismatch,
}

/// Checks against every secret.
pub(super) fn check(
    secrets: &[String],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Verdict {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let (Some(id), Some(at), Some(entries)) = (id, at, header("webhook-signature")) else {
        return Verdict::Unsigned;
    };
    if secrets.is_empty() {
        return Verdict::NoSecret;
    }
    let is_near = at.parse::<i64>().is_ok_and(|at| (now.as_second() - at).abs() <= TOLERANCE_S);
    if !is_near {
        return Verdict::TooOld;
    }
    let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
    let fits = |entry: &str| secrets.iter().any(|secret| is_by(secret, entry, &signed));
    if entries.split(' ').any(fits) { Verdict::Genuine } else { Verdict::Mismatch }
}

fn is_by(secret: &str, entry: &str, signed: &[u8]) -> bool {
    let Some((version, text)) = entry.split_once(',') else { return false };
    let Ok(given) = BASE64.decode(text.as_bytes()) else { return false };
    let key = |prefix| secret.strip_prefix(prefix).and_then(|it| BASE64.decode(it.as_bytes()).ok());
    match version {
        "v1" => key("whsec_").is_some_and(|key| crypto::verify_hmac_sha256(&key, signed, &given)),
        "v1a" => key("whpk_").is_some_and(|key| crypto::ed25519_verify(&key, signed, &given)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Of the specification's own tests.
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: i64 = 1_614_265_330;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
    const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const V1A: &str = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJa\
        A7AZdpXwVLPo3mNl8EM+m7TBAg==";

    fn verdict(secret: &str, entries: &str, body: &[u8], now_s: i64) -> Verdict {
        let mut headers = HeaderMap::new();
        let of = |text: &str| HeaderValue::from_str(text).expect("visible");
        headers.insert("webhook-id", of("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        headers.insert("webhook-timestamp", of(&AT.to_string()));
        headers.insert("webhook-signature", of(entries));
        let now = Timestamp::from_second(now_s).expect("in range");
        check(&[secret.to_owned()], &headers, body, now)
    }

    #[test]
    fn the_vectors_of_both_signatures_are_genuine() {
        assert_eq!(verdict(SECRET, V1, BODY, AT), Verdict::Genuine);
        assert_eq!(verdict(PUBLIC, V1A, BODY, AT + 300), Verdict::Genuine);
        let several = format!("v2,x nothing {V1A} {V1}");
        assert_eq!(verdict(SECRET, &several, BODY, AT - 300), Verdict::Genuine);
    }

    #[test]
    fn whatever_was_changed_is_no_more() {
        assert_eq!(verdict(SECRET, V1, b"{}", AT), Verdict::Mismatch);
        assert_eq!(verdict(PUBLIC, V1, BODY, AT), Verdict::Mismatch);
        assert_eq!(verdict("whsec_AAAA", V1, BODY, AT), Verdict::Mismatch);
        assert_eq!(verdict(SECRET, V1, BODY, AT + 301), Verdict::TooOld);
        let now = Timestamp::from_second(AT).expect("in range");
        assert_eq!(check(&[], &HeaderMap::new(), BODY, now), Verdict::Unsigned);
    }
}
