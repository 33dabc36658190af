//! Room `identity`: what an ID token and a logout token have to say, once their signature is
//! believed.

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use misy_core::{Timestamp, crypto};
use serde_json::{Map, Value};

use super::Doubt;
use crate::sso_connections::model::SigningAlgorithm as Algorithm;

/// Clocks of providers may differ by this much, in seconds.
const SKEW_S: i64 = 60;
/// What comes in answer to us, or is sent because something has just happened, is young.
const AGE_S_MAX: i64 = 600;
/// The event of a logout token (`OpenID` Connect Back-Channel Logout 1.0 section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a token has to be about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) now: Timestamp,
}

/// Checks an ID token (`OpenID` Connect Core section 3.1.3.7); gives its subject.
pub(crate) fn check_id_token<'a>(
    claims: &'a Map<String, Value>,
    algorithm: Algorithm,
    awaited: Awaited<'_>,
    nonce: &str,
    access_token: &str,
) -> Result<&'a str, Doubt> {
    check_origin(claims, awaited)?;
    check_times(claims, awaited.now.as_second())?;
    if !claims.contains_key("exp") {
        return Err(Doubt::Claims);
    }
    let said = text(claims, "nonce").ok_or(Doubt::Nonce)?;
    if !crypto::equal(said.as_bytes(), nonce.as_bytes()) {
        return Err(Doubt::Nonce);
    }
    if let Some(hash) = claims.get("at_hash")
        && hash.as_str() != Some(half_hash(algorithm, access_token).as_str())
    {
        return Err(Doubt::AccessToken);
    }
    text(claims, "sub").ok_or(Doubt::Claims)
}

/// Whom a logout token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) subject: Option<String>,
    pub(crate) session_index: Option<String>,
    /// It works once.
    pub(crate) id: String,
    pub(crate) expires_at: Timestamp,
}

/// Checks a logout token (Back-Channel Logout section 2.6).
pub(crate) fn check_logout_token(
    claims: &Map<String, Value>,
    awaited: Awaited<'_>,
) -> Result<Ending, Doubt> {
    check_origin(claims, awaited)?;
    let now = awaited.now.as_second();
    let issued = check_times(claims, now)?;
    // One without `exp`, as drafts had them, is good for as long as one with it may be.
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or(issued + AGE_S_MAX);
    let event = claims.get("events").and_then(|events| events.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) || claims.contains_key("nonce") {
        return Err(Doubt::Claims);
    }
    let owned = |name: &str| text(claims, name).map(str::to_owned);
    let (subject, session_index) = (owned("sub"), owned("sid"));
    if subject.is_none() && session_index.is_none() {
        return Err(Doubt::Claims);
    }
    let id = owned("jti").filter(|id| id.len() <= 512).ok_or(Doubt::Claims)?;
    let kept = expires.clamp(now, now + 24 * 3_600) + SKEW_S;
    let expires_at = Timestamp::from_second(kept).map_err(|_| Doubt::Claims)?;
    Ok(Ending { subject, session_index, id, expires_at })
}

/// `iss`, `aud` and `azp`.
fn check_origin(claims: &Map<String, Value>, awaited: Awaited<'_>) -> Result<(), Doubt> {
    if text(claims, "iss") != Some(awaited.issuer) {
        return Err(Doubt::Issuer);
    }
    let (ours, others) = match claims.get("aud") {
        Some(Value::String(one)) => (one == awaited.client_id, false),
        Some(Value::Array(all)) => {
            let ours = |one: &Value| one.as_str() == Some(awaited.client_id);
            (all.iter().any(ours), !all.iter().all(ours))
        }
        _ => (false, false),
    };
    let party = claims.get("azp").map(Value::as_str);
    let party_is_us = party == Some(Some(awaited.client_id));
    if !ours || (others || party.is_some()) && !party_is_us {
        return Err(Doubt::Audience);
    }
    Ok(())
}

/// `exp`, `iat` and `nbf`; gives when it was issued. A logout token may lack `exp`.
fn check_times(claims: &Map<String, Value>, now: i64) -> Result<i64, Doubt> {
    let second = |name: &str| match claims.get(name) {
        None => Ok(None),
        // Whole seconds or with a fraction (RFC 7519 section 2).
        Some(value) => match (value.as_i64(), value.as_f64()) {
            (Some(second), _) => Ok(Some(second)),
            #[expect(clippy::cast_possible_truncation, reason = "a cast saturates")]
            (None, Some(second)) => Ok(Some(second.floor() as i64)),
            (None, None) => Err(Doubt::Claims),
        },
    };
    let issued = second("iat")?.ok_or(Doubt::Claims)?;
    if second("exp")?.is_some_and(|expires| now >= expires.saturating_add(SKEW_S)) {
        return Err(Doubt::Expired);
    }
    let starts = second("nbf")?.unwrap_or(issued).max(issued);
    if starts > now + SKEW_S {
        return Err(Doubt::NotYet);
    }
    if issued < now - AGE_S_MAX - SKEW_S { Err(Doubt::Expired) } else { Ok(issued) }
}

/// Left half of the hash that belongs to the algorithm (Core section 3.1.3.6; Ed25519 signs with
/// SHA-512, RFC 8032).
fn half_hash(algorithm: Algorithm, access_token: &str) -> String {
    let kind = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::ES384 => &SHA384,
        Algorithm::EdDSA => &SHA512,
    };
    let hash = digest(kind, access_token.as_bytes());
    crypto::to_base64url(&hash.as_ref()[..hash.as_ref().len() / 2])
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// What the provider says of the address; `trusted` where it says nothing. Some send the word.
pub(crate) fn is_email_verified(claims: &Map<String, Value>, trusted: bool) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(word)) => word == "true",
        Some(_) => false,
        None => trusted,
    }
}
