//! Room `integration`: whether a request is genuine. Everything secret is compared in constant
//! time; why something is refused is for the source's owner, never for the caller.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use misy_core::crypto::{self, others};
use misy_core::{Secret, Timestamp};
use serde::{Deserialize, Serialize};

use super::coded;
use super::request::Incoming;
use super::scheme::{
    Algorithm, Encoding, KeyForm, Piece, Repetition, Scheme, SignedTime, TimeForm, pieces,
};

/// Signatures of one request that are looked at, at most.
const SIGNATURES_MAX: usize = 10;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SourceRefusal)]
pub enum Refusal {
    /// There is no signature, or no token, where one should be.
    SignatureMissing,
    /// It is not written as the scheme says.
    SignatureUnreadable,
    /// It was made with another secret, or over other content.
    SignatureMismatch,
    /// The body is not the one whose hash was signed.
    BodyMismatch,
    /// There is no time where one should be.
    TimestampMissing,
    /// The time is not written as the scheme says.
    TimestampUnreadable,
    /// It was signed too long ago: repeated by somebody, or the clock is wrong.
    TooOld,
    /// It was signed too far in the future.
    TooNew,
    /// No secret of the source can be used for its scheme.
    SecretUnusable,
    /// The certificate that signed it cannot be had from an address that is allowed.
    CertificateUnavailable,
    /// The handshake is not one of the provider's, or its token is wrong.
    HandshakeWrong,
}

impl Refusal {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::SignatureMissing,
        Self::SignatureUnreadable,
        Self::SignatureMismatch,
        Self::BodyMismatch,
        Self::TimestampMissing,
        Self::TimestampUnreadable,
        Self::TooOld,
        Self::TooNew,
        Self::SecretUnusable,
        Self::CertificateUnavailable,
        Self::HandshakeWrong,
    ];

    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::SignatureMissing => "signature_missing",
            Self::SignatureUnreadable => "signature_unreadable",
            Self::SignatureMismatch => "signature_mismatch",
            Self::BodyMismatch => "body_mismatch",
            Self::TimestampMissing => "timestamp_missing",
            Self::TimestampUnreadable => "timestamp_unreadable",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
            Self::SecretUnusable => "secret_unusable",
            Self::CertificateUnavailable => "certificate_unavailable",
            Self::HandshakeWrong => "handshake_wrong",
        }
    }
}

/// What a request is checked with, besides its scheme.
#[derive(Debug, Clone, Copy)]
pub struct With<'a> {
    /// The secrets that are good now; any may have signed.
    pub secrets: &'a [Secret],
    /// The certificate that the request names, in DER, if its scheme needs one.
    pub certificate: Option<&'a [u8]>,
    /// Overrides the scheme's tolerance, in seconds.
    pub tolerance_s: Option<u32>,
    /// Now.
    pub now: Timestamp,
}

/// Whether the sender is who it should be and the request is of now.
pub fn check(scheme: &Scheme, request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    match scheme.algorithm {
        Algorithm::Standard => return coded::standard(request, with),
        Algorithm::Twilio => return coded::twilio(request, with),
        Algorithm::Paypal => coded::paypal(request, with)?,
        Algorithm::Jwt => return coded::jwt(request, with),
        Algorithm::Token => token(scheme, request, with)?,
        Algorithm::Basic => basic(request, with)?,
        _ => signature(scheme, request, with)?,
    }
    match &scheme.timestamp {
        Some(time) => in_time(time, request, with),
        None => Ok(()),
    }
}

fn token(scheme: &Scheme, request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let found = request.find_all(&scheme.signature);
    if found.is_empty() || found.iter().any(|one| one.is_empty()) {
        return Err(Refusal::SignatureMissing);
    }
    let fits = |one: &str| {
        let sent = one.strip_prefix(scheme.prefix.as_str());
        sent.is_some_and(|sent| with.secrets.iter().any(|secret| same(sent, secret.expose())))
    };
    let all = found.iter().filter(|one| fits(one)).count() == found.len();
    all.then_some(()).ok_or(Refusal::SignatureMismatch)
}

/// Equal, in a time that tells nothing of either: their hashes are compared.
fn same(a: &str, b: &str) -> bool {
    crypto::equal(&crypto::sha256(a.as_bytes()), &crypto::sha256(b.as_bytes()))
}

fn basic(request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let sent = request.header("authorization").ok_or(Refusal::SignatureMissing)?;
    let (way, credentials) = sent.split_once(' ').ok_or(Refusal::SignatureUnreadable)?;
    let credentials = decode(Encoding::Base64, credentials.trim());
    let text = credentials.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|_| way.eq_ignore_ascii_case("basic"));
    let text = text.ok_or(Refusal::SignatureUnreadable)?;
    let fits = with.secrets.iter().any(|secret| same(&text, secret.expose()));
    fits.then_some(()).ok_or(Refusal::SignatureMismatch)
}

fn signature(scheme: &Scheme, request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let found = request.find_all(&scheme.signature);
    let found: Vec<_> = found.iter().filter(|one| !one.is_empty()).take(SIGNATURES_MAX).collect();
    if found.is_empty() {
        return Err(Refusal::SignatureMissing);
    }
    let read = |text: &str| decode(scheme.encoding, text.strip_prefix(scheme.prefix.as_str())?);
    let tags: Vec<Vec<u8>> = found.into_iter().filter_map(|one| read(one)).collect();
    if tags.is_empty() {
        return Err(Refusal::SignatureUnreadable);
    }
    let signed = signed(scheme, request)?;
    let algorithm = scheme.algorithm;
    let keys: Vec<Vec<u8>> =
        with.secrets.iter().filter_map(|secret| key(algorithm, scheme.key, secret)).collect();
    if keys.is_empty() {
        return Err(Refusal::SecretUnusable);
    }
    let fits = |key: &[u8], tag: &[u8]| match (algorithm.hash(), algorithm.public()) {
        (Some(hash), _) => others::verify_hmac(hash, key, &signed, tag),
        (None, Some(public)) => others::verify_public(public, key, &signed, tag),
        (None, None) => false,
    };
    let any = keys.iter().any(|key| tags.iter().any(|tag| fits(key, tag)));
    any.then_some(()).ok_or(Refusal::SignatureMismatch)
}

/// The bytes that were signed.
fn signed(scheme: &Scheme, request: &Incoming<'_>) -> Result<Vec<u8>, Refusal> {
    let mut signed = Vec::with_capacity(request.body.len() + 64);
    for piece in pieces(&scheme.signed).ok_or(Refusal::SecretUnusable)? {
        match piece {
            Piece::Text(text) => signed.extend_from_slice(text.as_bytes()),
            Piece::Body => signed.extend_from_slice(request.body),
            Piece::Timestamp => {
                let part = scheme.timestamp.as_ref().map(|time| &time.part);
                let time = part.and_then(|part| request.find(part));
                let time = time.ok_or(Refusal::TimestampMissing)?;
                signed.extend_from_slice(time.as_bytes());
            }
            Piece::Id => {
                let id = scheme.id.as_ref().and_then(|part| request.find(part));
                signed.extend_from_slice(id.unwrap_or_default().as_bytes());
            }
            Piece::Method => signed.extend_from_slice(request.method.as_bytes()),
            Piece::Url => signed.extend_from_slice(request.url.as_str().as_bytes()),
            Piece::LooseUrl => signed.extend_from_slice(loosen(request.url.as_str()).as_bytes()),
            Piece::Path => signed.extend_from_slice(request.url.path().as_bytes()),
            Piece::Part(part) => {
                signed.extend_from_slice(request.find(&part).unwrap_or_default().as_bytes());
            }
        }
    }
    Ok(signed)
}

/// Decodes the characters that `HubSpot` decodes before it signs
/// (<https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests>).
fn loosen(url: &str) -> String {
    const DECODED: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    DECODED.iter().fold(url.to_owned(), |url, (from, to)| {
        url.replace(from, to).replace(&from.to_ascii_lowercase(), to)
    })
}

/// Reads bytes that are written so; `None` if they are not, or are none.
pub(crate) fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    let bytes = match encoding {
        Encoding::Hex => crypto::from_hex(text),
        Encoding::Base64 => STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok(),
        Encoding::Base64url => URL_SAFE.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok(),
    };
    bytes.filter(|bytes| !bytes.is_empty())
}

/// The key in a secret, if there is one for this algorithm.
pub(crate) fn key(algorithm: Algorithm, form: KeyForm, secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose();
    if algorithm.public().is_some() {
        return public_key(algorithm == Algorithm::Ed25519, form, text);
    }
    match form {
        KeyForm::Text => (!text.is_empty()).then(|| text.as_bytes().to_vec()),
        KeyForm::Hex => decode(Encoding::Hex, text),
        KeyForm::Base64 => decode(Encoding::Base64, text),
    }
}

/// The prefix of a `SubjectPublicKeyInfo` that holds an Ed25519 key (RFC 8410).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// A public key from PEM, or from hex or base64.
pub(crate) fn public_key(ed25519: bool, form: KeyForm, text: &str) -> Option<Vec<u8>> {
    let armoured = text.contains("-----BEGIN");
    let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let inner: String = inner.split_whitespace().collect();
    let bytes = match form {
        KeyForm::Hex if !armoured => decode(Encoding::Hex, &inner),
        _ => decode(Encoding::Base64, &inner),
    }?;
    if !ed25519 {
        return Some(bytes);
    }
    let raw = bytes.strip_prefix(&ED25519_SPKI[..]).map(<[u8]>::to_vec).unwrap_or(bytes);
    (raw.len() == 32).then_some(raw)
}

fn in_time(time: &SignedTime, request: &Incoming<'_>, with: With<'_>) -> Result<(), Refusal> {
    let text = request.find(&time.part).ok_or(Refusal::TimestampMissing)?;
    let at = read_time(time.form, &text).ok_or(Refusal::TimestampUnreadable)?;
    near(at, with.tolerance_s.unwrap_or(time.tolerance_s), with.now)
}

fn read_time(form: TimeForm, text: &str) -> Option<Timestamp> {
    match form {
        TimeForm::Seconds => Timestamp::from_second(text.parse().ok()?).ok(),
        TimeForm::Milliseconds => Timestamp::from_millisecond(text.parse().ok()?).ok(),
        TimeForm::Rfc3339 => text.parse().ok(),
    }
}

/// Whether a time is near enough.
pub(crate) fn near(at: Timestamp, tolerance_s: u32, now: Timestamp) -> Result<(), Refusal> {
    let tolerance_ms = i64::from(tolerance_s) * 1_000;
    match now.as_millisecond().saturating_sub(at.as_millisecond()) {
        age if age > tolerance_ms => Err(Refusal::TooOld),
        age if age < -tolerance_ms => Err(Refusal::TooNew),
        _ => Ok(()),
    }
}

/// The sender's own id of what it sent.
pub fn external_id(scheme: &Scheme, request: &Incoming<'_>) -> Option<String> {
    let id = match scheme.algorithm {
        Algorithm::Standard => coded::standard_id(request).map(str::to_owned),
        _ => scheme.id.as_ref().and_then(|part| request.find(part)).map(Into::into),
    };
    id.map(|id| id.chars().filter(|one| *one != '\0').take(200).collect())
}

/// By what a repetition of it is known: hashes of its id, and of its body with what stands beside
/// it and makes it another event: the query, and a type that is not in the body.
pub fn marks(scheme: &Scheme, request: &Incoming<'_>) -> Vec<[u8; 32]> {
    let mark = |kind: &[u8], what: &[u8]| crypto::sha256(&[kind, what].concat());
    let id = external_id(scheme, request).map(|id| mark(b"id:", id.as_bytes()));
    let kind = scheme.kind.as_ref().and_then(|part| request.find(part)).unwrap_or_default();
    let query = request.url.query().unwrap_or_default();
    let beside = [&crypto::sha256(query.as_bytes())[..], &crypto::sha256(kind.as_bytes())].concat();
    let body = mark(&beside, request.body);
    match (scheme.repetition, id) {
        (Repetition::Never, _) => Vec::new(),
        (Repetition::Id, Some(id)) => vec![id],
        (Repetition::IdAndBody, Some(id)) => vec![id, body],
        (_, None) => vec![body],
    }
}
