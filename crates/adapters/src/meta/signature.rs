//! Room `adapters`: how Meta signs its webhooks and how it checks that a URL is ours
//! (<https://developers.facebook.com/docs/graph-api/webhooks/getting-started>).

use http::HeaderMap;
use misy_channel::VerifyError;
use misy_core::{Secret, crypto};
use url::form_urlencoded;

const HEADER: &str = "x-hub-signature-256";
const PREFIX: &str = "sha256=";
/// Meta sends about ten digits; nothing longer is echoed.
const CHALLENGE_MAX: usize = 256;

/// Checks `X-Hub-Signature-256` over the bytes as they came. Meta signs the body with its own
/// escapes, so a body that was read and written again has another signature.
pub(crate) fn verify(secret: &Secret, headers: &HeaderMap, raw: &[u8]) -> Result<(), VerifyError> {
    let mut all = headers.get_all(HEADER).iter();
    let (Some(header), None) = (all.next(), all.next()) else { return Err(VerifyError::Missing) };
    let text = header.to_str().map_err(|_| VerifyError::Missing)?;
    let hex = text.strip_prefix(PREFIX).ok_or(VerifyError::Missing)?;
    let tag = crypto::from_hex(hex).filter(|tag| tag.len() == 32).ok_or(VerifyError::Missing)?;
    if secret.is_empty() || !crypto::verify_hmac_sha256(secret.expose().as_bytes(), raw, &tag) {
        return Err(VerifyError::Mismatch);
    }
    Ok(())
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The token in a handshake's query.
pub(crate) fn handshake_token(query: &str) -> Option<String> {
    parameter(query, "hub.verify_token").filter(|token| !token.is_empty())
}

/// Answers a handshake with its challenge, if the token is the account's.
pub(crate) fn handshake(token: &Secret, query: &str) -> Result<String, VerifyError> {
    let mode = parameter(query, "hub.mode");
    let challenge = parameter(query, "hub.challenge").unwrap_or_default();
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_plain = (1..=CHALLENGE_MAX).contains(&challenge.len()) && challenge.chars().all(safe);
    let (Some("subscribe"), true) = (mode.as_deref(), is_plain) else {
        return Err(VerifyError::Missing);
    };
    let given = handshake_token(query).ok_or(VerifyError::Missing)?;
    if token.is_empty() || !crypto::equal(given.as_bytes(), token.expose().as_bytes()) {
        return Err(VerifyError::Mismatch);
    }
    Ok(challenge)
}

/// Proves that a call comes from the app itself, not from somebody who found its token.
pub(crate) fn appsecret_proof(secret: &Secret, token: &Secret) -> Secret {
    let tag = crypto::hmac_sha256(secret.expose().as_bytes(), token.expose().as_bytes());
    Secret::new(crypto::to_hex(&tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("visible text");
        HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), value)])
    }

    /// The vector of GitHub's documentation, which uses the same scheme.
    #[test]
    fn a_known_signature_is_accepted_over_exactly_these_bytes() {
        let secret = Secret::new("It's a Secret to Everybody");
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let signed = headers(&format!("sha256={hex}"));
        assert_eq!(verify(&secret, &signed, b"Hello, World!"), Ok(()));
        assert_eq!(verify(&secret, &signed, b"Hello, World"), Err(VerifyError::Mismatch));
        assert_eq!(verify(&Secret::new(""), &signed, b""), Err(VerifyError::Mismatch));
    }

    #[test]
    fn escapes_are_signed_as_they_came() {
        let (secret, raw) = (Secret::new("s"), br#"{"text":"f\u00fcr \/ \u003C"}"#);
        let tag = crypto::to_hex(&crypto::hmac_sha256(b"s", raw));
        assert_eq!(verify(&secret, &headers(&format!("sha256={tag}")), raw), Ok(()));
    }

    #[test]
    fn anything_but_one_well_formed_header_is_missing() {
        let secret = Secret::new("s");
        for value in ["", "sha256=", "sha256=zz", "sha1=abcd", "757107ea", "sha256=abcd"] {
            assert_eq!(verify(&secret, &headers(value), b""), Err(VerifyError::Missing), "{value}");
        }
        assert_eq!(verify(&secret, &HeaderMap::new(), b""), Err(VerifyError::Missing));
        let mut twice = headers("sha256=00");
        twice.append(HEADER, HeaderValue::from_static("sha256=11"));
        assert_eq!(verify(&secret, &twice, b""), Err(VerifyError::Missing));
    }

    #[test]
    fn a_handshake_needs_mode_token_and_a_plain_challenge() {
        let token = Secret::new("t k");
        let ask = |query: &str| handshake(&token, query);
        let good = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=t%20k";
        assert_eq!(ask(good), Ok("1158201444".to_owned()));
        assert_eq!(handshake_token(good).as_deref(), Some("t k"));
        assert_eq!(ask(&good.replace("t%20k", "tk")), Err(VerifyError::Mismatch));
        assert_eq!(ask(&good.replace("subscribe", "x")), Err(VerifyError::Missing));
        assert_eq!(ask(&good.replace("1158201444", "%3Cscript%3E")), Err(VerifyError::Missing));
        assert_eq!(ask(""), Err(VerifyError::Missing));
        assert_eq!(handshake(&Secret::new(""), good), Err(VerifyError::Mismatch));
    }
}
