//! Room `integration`: what providers ask before they send, and what they are answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use misy_core::{Secret, crypto};
use serde_json::json;

use super::request::Incoming;
use super::scheme::Challenge;

/// What is answered to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its type.
    pub content_type: &'static str,
    /// Its body; an empty one is answered with 204.
    pub body: String,
}

impl Answer {
    fn text(body: impl Into<String>) -> Self {
        Self { content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    fn json(body: &serde_json::Value) -> Self {
        Self { content_type: "application/json", body: body.to_string() }
    }
}

/// Characters of a text that is given back, at most.
const ECHO_MAX: usize = 1_024;

fn echo(text: String) -> Option<String> {
    (!text.is_empty() && text.len() <= ECHO_MAX).then_some(text)
}

/// The answer to a handshake by `GET`, if it is one of this provider's.
pub fn shake_hands(
    challenge: Challenge,
    request: &Incoming<'_>,
    secrets: &[Secret],
    verify_token: Option<&Secret>,
) -> Option<Answer> {
    match challenge {
        Challenge::Meta => {
            let sent = request.query("hub.verify_token")?;
            let digest = |text: &str| crypto::sha256(text.as_bytes());
            let known = crypto::equal(&digest(&sent), &digest(verify_token?.expose()));
            let asked = request.query("hub.mode")? == "subscribe" && known;
            asked.then(|| request.query("hub.challenge")).flatten().and_then(echo).map(Answer::text)
        }
        Challenge::X => {
            // What is signed here is signed for anybody, so it must not look like a delivery.
            let token = request.query("crc_token").and_then(echo)?;
            // A delivery is a JSON object; base64, its URL form, hex and UUIDs are none.
            let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+/.".contains(&byte);
            if token.len() > 256 || !token.bytes().all(harmless) {
                return None;
            }
            let tag = crypto::hmac_sha256(secrets.first()?.expose().as_bytes(), token.as_bytes());
            Some(Answer::json(
                &json!({ "response_token": format!("sha256={}", STANDARD.encode(tag)) }),
            ))
        }
        Challenge::Dropbox => request.query("challenge").and_then(echo).map(Answer::text),
        _ => None,
    }
}

/// The answer to a question that comes by `POST` and is not signed.
pub fn answer_unsigned(challenge: Challenge, request: &Incoming<'_>) -> Option<Answer> {
    (challenge == Challenge::Graph)
        .then(|| request.query("validationToken"))
        .flatten()
        .and_then(echo)
        .map(Answer::text)
}

/// The answer to a question that is signed like a delivery, if it is one and no delivery; `secret`
/// is the one that signed it, which is not the newest while secrets are rotated.
pub fn answer_signed(
    challenge: Challenge,
    request: &Incoming<'_>,
    secret: &Secret,
) -> Option<Answer> {
    let body = request.json();
    match challenge {
        Challenge::Slack if body["type"] == "url_verification" => {
            echo(body["challenge"].as_str()?.to_owned()).map(Answer::text)
        }
        Challenge::Zoom if body["event"] == "endpoint.url_validation" => {
            let token = body["payload"]["plainToken"].as_str()?;
            let tag = crypto::hmac_sha256(secret.expose().as_bytes(), token.as_bytes());
            let tag = crypto::to_hex(&tag);
            Some(Answer::json(&json!({ "plainToken": token, "encryptedToken": tag })))
        }
        // <https://docs.discord.com/developers/events/webhook-events>: a ping has type 0 and is
        // answered with 204 and a content type; what has type 1 and an `event` is one, and no ping
        // of interactions.
        Challenge::Discord if body["type"] == 0 => {
            Some(Answer { content_type: "application/json", body: String::new() })
        }
        Challenge::Discord if body["type"] == 1 && body["event"].is_null() => {
            Some(Answer::json(&json!({ "type": 1 })))
        }
        _ => None,
    }
}
