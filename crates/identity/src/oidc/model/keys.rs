//! Room `identity`: a provider's published keys (RFC 7517) and signatures made with them (RFC
//! 7515). The algorithm has to be one that the connection allows and that the key is made for; the
//! token's header chooses among those and nothing else.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use misy_core::crypto;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::sso_connections::model::SigningAlgorithm as Algorithm;

/// Larger than ID tokens with many groups; more is not even decoded.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Keys of a provider that are looked at.
const KEYS_MAX: usize = 100;

/// Why what a provider says is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    /// It is not three parts of base64url with JSON objects.
    #[error("not a token")]
    Malformed,
    /// An algorithm that the connection does not allow, or a token of another type.
    #[error("another algorithm or type than allowed")]
    Algorithm,
    /// No published key has its `kid`.
    #[error("signed with a key that is not published")]
    UnknownKey,
    /// The signature does not match.
    #[error("the signature does not match")]
    Forged,
    /// Another issuer.
    #[error("from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("for another client")]
    Audience,
    /// Expired.
    #[error("expired")]
    Expired,
    /// From the future.
    #[error("not valid yet")]
    NotYet,
    /// Not for this login.
    #[error("for another login")]
    Nonce,
    /// It came with another access token.
    #[error("for another access token")]
    AccessToken,
    /// A claim that has to be there is missing, or one is there that must not.
    #[error("a claim is missing or out of place")]
    Claims,
}

impl Doubt {
    /// The reason as the administrator reads it in the audit log.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::UnknownKey => "token_unknown_key",
            Self::Forged => "token_forged",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet_valid",
            Self::Nonce => "token_nonce",
            Self::AccessToken => "token_at_hash",
            Self::Claims => "token_claims",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PublicKey {
    kid: Option<String>,
    alg: Option<String>,
    public: Public,
}

/// Keys that a provider has published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct KeySet(Vec<PublicKey>);

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct WireKey {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set; keys that sign nothing for us are left out (RFC 7517 section 5).
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        let set: WireSet = serde_json::from_slice(json).ok()?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        let read = keys.filter_map(|key| read_key(serde_json::from_value(key).ok()?));
        Some(Self(read.collect()))
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keys that may have made a signature: of this name, if it has one, and for this algorithm.
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        let named = |key: &&PublicKey| kid.is_none() || key.kid.as_deref() == kid;
        self.0.iter().filter(named).filter(|key| key.can(algorithm)).collect()
    }
}

fn read_key(key: WireKey) -> Option<PublicKey> {
    let bytes = |text: &Option<String>| crypto::from_base64url(text.as_deref()?);
    let point = |length: usize| {
        let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
        (x.len() == length && y.len() == length).then(|| [&[4], &x[..], &y[..]].concat())
    };
    let public = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => Public::Rsa { n: bytes(&key.n)?, e: bytes(&key.e)? },
        ("EC", Some("P-256")) => Public::P256(point(32)?),
        ("EC", Some("P-384")) => Public::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(&key.x)?),
        _ => return None,
    };
    let signs = key.purpose.is_none_or(|purpose| purpose == "sig");
    let verifies = key.key_ops.is_none_or(|all| all.iter().any(|one| one == "verify"));
    (signs && verifies).then_some(PublicKey { kid: key.kid, alg: key.alg, public })
}

impl PublicKey {
    fn can(&self, algorithm: Algorithm) -> bool {
        let fits = matches!(
            (&self.public, algorithm),
            (Public::Rsa { .. }, Algorithm::RS256 | Algorithm::PS256)
                | (Public::P256(_), Algorithm::ES256)
                | (Public::P384(_), Algorithm::ES384)
                | (Public::Ed25519(_), Algorithm::EdDSA)
        );
        fits && self.alg.as_deref().is_none_or(|alg| alg == algorithm.name())
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let outcome =
            match &self.public {
                Public::Rsa { n, e } => {
                    let kind = match algorithm {
                        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
                        _ => &RSA_PKCS1_2048_8192_SHA256,
                    };
                    RsaPublicKeyComponents { n, e }.verify(kind, message, signature)
                }
                Public::P256(bytes) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes)
                    .verify(message, signature),
                Public::P384(bytes) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, bytes)
                    .verify(message, signature),
                Public::Ed25519(bytes) => {
                    UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature)
                }
            };
        outcome.is_ok()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Believes a compact JWS with claims or says why not. `types` are the values of `typ` that a
/// token of this kind may have, besides `JWT` and none: a token made for another purpose is no ID
/// token, whoever signed it (RFC 8725 section 3.11).
pub(crate) fn verify(
    token: &str,
    allowed: &[Algorithm],
    types: &[&str],
    keys: &KeySet,
) -> Result<(Map<String, Value>, Algorithm), Doubt> {
    let (body, algorithm) = signed(token, allowed, types, keys)?;
    let claims = serde_json::from_slice(&body).map_err(|_| Doubt::Malformed)?;
    Ok((claims, algorithm))
}

/// Believes the signature of a compact JWS; gives what it signs.
pub(super) fn signed(
    token: &str,
    allowed: &[Algorithm],
    types: &[&str],
    keys: &KeySet,
) -> Result<(Vec<u8>, Algorithm), Doubt> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Doubt::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Doubt::Malformed)?;
    let (header, body) = signed.split_once('.').ok_or(Doubt::Malformed)?;
    let decode = |part: &str| crypto::from_base64url(part).ok_or(Doubt::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Doubt::Malformed)?;
    let algorithm = allowed.iter().copied().find(|one| one.name() == header.alg);
    let algorithm = algorithm.ok_or(Doubt::Algorithm)?;
    let good_type = header.typ.as_deref().is_none_or(|typ| {
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        typ.eq_ignore_ascii_case("jwt") || types.iter().any(|one| one.eq_ignore_ascii_case(typ))
    });
    // What the header demands to be understood, and we do not know, voids it (RFC 7515 4.1.11).
    if !good_type || header.crit.is_some() {
        return Err(Doubt::Algorithm);
    }
    let candidates = keys.candidates(header.kid.as_deref(), algorithm);
    if candidates.is_empty() {
        return Err(Doubt::UnknownKey);
    }
    let signature = decode(signature)?;
    if !candidates.iter().any(|key| key.verifies(algorithm, signed.as_bytes(), &signature)) {
        return Err(Doubt::Forged);
    }
    Ok((decode(body)?, algorithm))
}
