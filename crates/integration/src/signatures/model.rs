//! Room `integration`: Standard Webhooks signatures
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>):
//! `v1` is HMAC-SHA256, `v1a` Ed25519, both over `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use misy_core::{Secret, Timestamp, crypto};
use serde::{Deserialize, Serialize};

/// How long after and before its time a delivery is good, in seconds.
pub const TOLERANCE_S: i64 = 300;

/// Bytes of a symmetric secret.
const SECRET_BYTES: usize = 32;

/// Which signatures a receiver gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// HMAC-SHA256 by a secret that both sides have.
    V1,
    /// HMAC-SHA256, and Ed25519 beside it, which is checked by a public key.
    V1a,
}

/// A secret that deliveries are signed with.
#[derive(Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// `whsec_`: HMAC-SHA256.
    Symmetric(Secret),
    /// `whsk_`: Ed25519; seed and public key.
    Asymmetric(Secret),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// A text that is no secret of ours, in words that name no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected whsec_, whsk_ or whpk_ and base64 of the right length")]
pub struct NoKey;

fn bytes_of(text: &str) -> Result<Vec<u8>, NoKey> {
    STANDARD.decode(text).map_err(|_| NoKey)
}

impl SigningKey {
    /// A new symmetric one from random bytes.
    pub fn symmetric(bytes: [u8; SECRET_BYTES]) -> Self {
        Self::Symmetric(Secret::new(format!("whsec_{}", STANDARD.encode(bytes))))
    }

    /// A new asymmetric one from a random seed.
    pub fn asymmetric(seed: [u8; 32]) -> Self {
        let public = crypto::ed25519_public(&seed);
        let both: Vec<u8> = seed.iter().chain(&public).copied().collect();
        Self::Asymmetric(Secret::new(format!("whsk_{}", STANDARD.encode(both))))
    }

    /// Reads either form. A symmetric secret has 24 to 64 bytes; one without a prefix is symmetric.
    pub fn parse(text: &str) -> Result<Self, NoKey> {
        if let Some(rest) = text.strip_prefix("whsk_") {
            let bytes = bytes_of(rest)?;
            let (seed, public) = bytes.split_first_chunk::<32>().ok_or(NoKey)?;
            let whole = public == crypto::ed25519_public(seed);
            return whole.then(|| Self::Asymmetric(Secret::new(text))).ok_or(NoKey);
        }
        let bytes = bytes_of(text.strip_prefix("whsec_").unwrap_or(text))?;
        let fits = (24..=64).contains(&bytes.len());
        fits.then(|| Self::Symmetric(Secret::new(text))).ok_or(NoKey)
    }

    /// Its text, for the one place that shows or seals it.
    pub fn expose(&self) -> &str {
        match self {
            Self::Symmetric(secret) | Self::Asymmetric(secret) => secret.expose(),
        }
    }

    /// What a receiver checks by: the secret itself, or `whpk_` and the public key.
    pub fn checked_by(&self) -> Secret {
        match self {
            Self::Symmetric(secret) => secret.clone(),
            Self::Asymmetric(secret) => {
                let bytes = secret.expose().strip_prefix("whsk_").map(bytes_of);
                let public = bytes.and_then(Result::ok).map(|bytes| bytes[32..].to_vec());
                Secret::new(format!("whpk_{}", STANDARD.encode(public.unwrap_or_default())))
            }
        }
    }

    /// Ready to sign with.
    pub fn signer(&self) -> Result<Signer, NoKey> {
        match self {
            Self::Symmetric(secret) => {
                let text = secret.expose();
                Ok(Signer::V1(bytes_of(text.strip_prefix("whsec_").unwrap_or(text))?))
            }
            Self::Asymmetric(secret) => {
                let text = secret.expose().strip_prefix("whsk_").ok_or(NoKey)?;
                let bytes = bytes_of(text)?;
                let seed = bytes.first_chunk::<32>().ok_or(NoKey)?;
                Ok(Signer::V1a(*seed))
            }
        }
    }
}

/// A key in the form in which it signs.
#[derive(Clone)]
pub enum Signer {
    /// The secret's bytes.
    V1(Vec<u8>),
    /// The seed.
    V1a([u8; 32]),
}

impl Signer {
    /// One entry of the `webhook-signature` header.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let signed = signed(id, &timestamp_s.to_string(), body);
        match self {
            Self::V1(key) => {
                format!("v1,{}", STANDARD.encode(crypto::hmac_sha256(key, &signed)))
            }
            Self::V1a(seed) => {
                format!("v1a,{}", STANDARD.encode(crypto::ed25519_sign(seed, &signed)))
            }
        }
    }
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut signed = Vec::with_capacity(id.len() + timestamp.len() + body.len() + 2);
    signed.extend_from_slice(id.as_bytes());
    signed.push(b'.');
    signed.extend_from_slice(timestamp.as_bytes());
    signed.push(b'.');
    signed.extend_from_slice(body);
    signed
}

/// A delivery as its receiver has it, with what it should be checked by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a> {
    /// `whsec_..` or `whpk_..`.
    pub secret: &'a Secret,
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Whether a delivery is genuine, and if not, what most likely went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Genuine,
    /// The secret cannot be read.
    BadSecret,
    /// The timestamp is no whole number of seconds.
    BadTimestamp,
    /// It is older than five minutes: replayed, or the clock goes ahead.
    TooOld,
    /// It is more than five minutes in the future: the clock is behind.
    TooNew,
    /// No entry of the header has the form `v1,..` (or `v1a,..` for a public key).
    NoSignature,
    /// It would be right for the body without the white space around it: something changed it.
    BodyTrimmed,
    /// It would be right for the body written anew: it was parsed and serialised before the check.
    BodyRewritten,
    /// It was made with another secret, or over other content.
    Mismatch,
}

impl Verdict {
    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Genuine => "The signature is right and the time is near.",
            Self::BadSecret => "A secret is `whsec_` and base64, a public key `whpk_` and base64.",
            Self::BadTimestamp => "Pass `webhook-timestamp` as it came: seconds since 1970.",
            Self::TooOld => {
                "It is over 300 s old. Set the clock, or refuse it: it may be a replay."
            }
            Self::TooNew => "It lies over 300 s ahead. Set the receiver's clock.",
            Self::NoSignature => {
                "Pass `webhook-signature` as it came: entries `v1,<base64>`, split by spaces."
            }
            Self::BodyTrimmed => {
                "White space at an end of the body was changed. Use the raw bytes."
            }
            Self::BodyRewritten => {
                "The body was parsed and written anew before the check. Use the raw bytes."
            }
            Self::Mismatch => "Another endpoint's or an older secret, or the body was changed.",
        }
    }
}

/// Checks a delivery as a receiver does.
pub fn verify(received: &Received<'_>, now: Timestamp) -> Verdict {
    let Some(key) = checking_key(received.secret) else { return Verdict::BadSecret };
    let Ok(timestamp) = received.timestamp.parse::<i64>() else { return Verdict::BadTimestamp };
    let wanted = if matches!(key, Checking::Secret(_)) { "v1" } else { "v1a" };
    let entries = received.signature.split(' ').filter_map(|entry| entry.split_once(','));
    let of_scheme = entries.filter(|(version, _)| *version == wanted);
    let tags: Vec<Vec<u8>> = of_scheme.filter_map(|(_, tag)| bytes_of(tag).ok()).collect();
    if tags.is_empty() {
        return Verdict::NoSignature;
    }
    let fits = |body: &[u8]| {
        let signed = signed(received.id, received.timestamp, body);
        tags.iter().any(|tag| key.fits(&signed, tag))
    };
    if !fits(received.body) {
        return near_miss(received.body, fits);
    }
    match now.as_second().saturating_sub(timestamp) {
        age if age > TOLERANCE_S => Verdict::TooOld,
        age if age < -TOLERANCE_S => Verdict::TooNew,
        _ => Verdict::Genuine,
    }
}

fn near_miss(body: &[u8], fits: impl Fn(&[u8]) -> bool) -> Verdict {
    let trimmed = body.trim_ascii();
    let with_newline = [trimmed, b"\n"].concat();
    if fits(trimmed) || fits(&with_newline) {
        return Verdict::BodyTrimmed;
    }
    let compact = serde_json::from_slice::<serde_json::Value>(body).map(|value| value.to_string());
    if compact.is_ok_and(|compact| fits(compact.as_bytes())) {
        return Verdict::BodyRewritten;
    }
    Verdict::Mismatch
}

enum Checking {
    Secret(Vec<u8>),
    Public(Vec<u8>),
}

fn checking_key(secret: &Secret) -> Option<Checking> {
    let text = secret.expose();
    if let Some(public) = text.strip_prefix("whpk_") {
        return bytes_of(public).ok().filter(|key| key.len() == 32).map(Checking::Public);
    }
    let key = bytes_of(text.strip_prefix("whsec_").unwrap_or(text)).ok()?;
    (!key.is_empty()).then_some(Checking::Secret(key))
}

impl Checking {
    fn fits(&self, signed: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Secret(key) => crypto::verify_hmac_sha256(key, signed, tag),
            Self::Public(key) => crypto::ed25519_verify(key, signed, tag),
        }
    }
}

#[cfg(test)]
mod tests;
