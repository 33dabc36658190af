//! Room `identity`: access tokens as JWT (RFC 9068) with Ed25519 signatures (RFC 8037).
//!
//! There is one algorithm and it is a property of our keys: the header's `alg` is compared with it
//! and never chooses anything. `kid` only looks up a key in a table.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use misy_core::id::TypedId;
use misy_core::{
    Code, OperatorId, Proof, Public, Role, SessionId, TenantId, Timestamp, UserId, crypto, id,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Clocks of our processes may differ by this much.
const SKEW_S: i64 = 5;
/// Larger than any token of ours; more is not even decoded.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Why a token is not believed. The caller is told none of it but that it is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not three parts of base64url with the JSON of our tokens.
    #[error("not a token of ours")]
    Malformed,
    /// Its `alg` or `typ` is another.
    #[error("another algorithm or type")]
    WrongKind,
    /// No key with its `kid`.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature does not match.
    #[error("the signature does not match")]
    Forged,
    /// Another issuer or audience.
    #[error("for another issuer or audience")]
    Elsewhere,
    /// Not yet or no longer valid.
    #[error("expired or not yet valid")]
    Expired,
    /// Its session or user was revoked.
    #[error("revoked")]
    Revoked,
}

impl Public for Error {
    fn code(&self) -> Code {
        Code::Unauthenticated
    }
}

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A person of a tenant with the role they had when it was issued; a change of role revokes it.
    User {
        /// The tenant.
        tenant: TenantId,
        /// The person.
        user: UserId,
        /// Their role.
        role: Role,
    },
    /// A person who runs the platform.
    Operator(OperatorId),
    /// A person who looks after the platform without running it.
    Staff {
        /// The person.
        operator: OperatorId,
        /// Support or auditor.
        role: Role,
    },
}

impl Subject {
    /// The id of the person, of whichever kind.
    pub(crate) fn uuid(self) -> Uuid {
        match self {
            Self::User { user, .. } => user.uuid(),
            Self::Operator(operator) | Self::Staff { operator, .. } => operator.uuid(),
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub subject: Subject,
    /// The sign-in it comes from.
    pub session: SessionId,
    /// The session's version; tokens below the revoked minimum die.
    pub sv: i64,
    /// The user's version; tokens below the revoked minimum die.
    pub uv: i64,
    /// Whether it lets do nothing but show or set up a second factor, which its role needs.
    pub limited: bool,
    /// What the sign-in has proven beside a password.
    pub proof: Proof,
    /// Its own id (`jti`).
    pub id: Uuid,
    /// When it was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// When it expires, in whole seconds.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

const ALG: &str = "EdDSA";
const TYP: &str = "at+jwt";

/// The claims on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    aud: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tid: Option<TenantId>,
    role: Role,
    sid: SessionId,
    sv: i64,
    uv: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lim: bool,
    /// Whether the role has to show a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mfn: bool,
    /// When it was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mfa: Option<i64>,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Who issues tokens and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
}

/// A key that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Whether the signature of the message is this key's (RFC 8032, strict).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

/// A key that signs.
pub struct Sealer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Sealer {
    /// Makes the key pair of a seed (RFC 8032 section 5.1.5).
    pub fn new(kid: Uuid, seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .expect("every 32 bytes are the seed of an Ed25519 key");
        Self { kid: id::encode(kid), pair }
    }

    /// The name of the key in tokens and in the published set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref();
        PublicKey(bytes.try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs the claims as a compact JWS.
    pub fn seal(&self, issuer: &Issuer, claims: &Claims) -> String {
        self.sign(TYP, &Wire::new(issuer, claims))
    }

    /// Signs a body as a compact JWS of this type.
    pub(crate) fn sign(&self, typ: &str, body: &impl Serialize) -> String {
        let header = Header { alg: ALG, typ, kid: &self.kid };
        let mut token = format!("{}.{}", part(&header), part(body));
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        token.push_str(&crypto::to_base64url(signature.as_ref()));
        token
    }
}

fn part(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("structs of texts and numbers serialise");
    crypto::to_base64url(&json)
}

impl Wire {
    fn new(issuer: &Issuer, claims: &Claims) -> Self {
        let (sub, tid, role) = match claims.subject {
            Subject::User { tenant, user, role } => (user.to_string(), Some(tenant), role),
            Subject::Operator(operator) => (operator.to_string(), None, Role::Operator),
            Subject::Staff { operator, role } => (operator.to_string(), None, role),
        };
        let iat = claims.issued_at.as_second();
        Self {
            iss: issuer.issuer.clone(),
            aud: issuer.audience.clone(),
            sub,
            tid,
            role,
            sid: claims.session,
            sv: claims.sv,
            uv: claims.uv,
            lim: claims.limited,
            mfn: claims.proof.second_factor_needed,
            mfa: claims.proof.second_factor_at.map(Timestamp::as_second),
            jti: id::encode(claims.id),
            iat,
            nbf: iat,
            exp: claims.expires_at.as_second(),
        }
    }

    fn subject(&self) -> Option<Subject> {
        match (self.tid, self.role) {
            (None, Role::Operator) => self.sub.parse().ok().map(Subject::Operator),
            (None, role @ (Role::Support | Role::Auditor)) => {
                self.sub.parse().ok().map(|operator| Subject::Staff { operator, role })
            }
            (Some(tenant), role) if Role::OF_TENANT.contains(&role) => {
                self.sub.parse().ok().map(|user| Subject::User { tenant, user, role })
            }
            _ => None,
        }
    }

    fn claims(&self) -> Option<Claims> {
        Some(Claims {
            subject: self.subject()?,
            session: self.sid,
            sv: self.sv,
            uv: self.uv,
            limited: self.lim,
            proof: Proof {
                second_factor_needed: self.mfn,
                second_factor_at: self.mfa.and_then(|at| Timestamp::from_second(at).ok()),
            },
            id: id::decode(&self.jti)?,
            issued_at: Timestamp::from_second(self.iat).ok()?,
            expires_at: Timestamp::from_second(self.exp).ok()?,
        })
    }
}

/// Whether a credential looks like a token of ours, as opposed to an API key.
pub(crate) fn looks_like_token(bearer: &str) -> bool {
    bearer.starts_with("eyJ")
}

/// The `kid` of a token, before anything of it is believed: for a caller that must fetch the key.
pub(crate) fn peek_kid(token: &str) -> Option<String> {
    let header = decode(token.split('.').next()?)?;
    serde_json::from_slice::<Header<'_>>(&header).ok().map(|header| header.kid.to_owned())
}

fn decode(part: &str) -> Option<Vec<u8>> {
    (part.len() <= TOKEN_BYTES_MAX).then(|| crypto::from_base64url(part)).flatten()
}

/// The `typ` of a token, before anything of it is believed.
pub(crate) fn is_of_type(token: &str, typ: &str) -> bool {
    let header = token.split('.').next().and_then(decode);
    let header = header.as_deref().map(serde_json::from_slice::<Header<'_>>);
    header.is_some_and(|header| header.is_ok_and(|header| header.typ == typ))
}

/// Believes the signature of a token of this type and gives its body, or says why not.
pub(crate) fn open<T: serde::de::DeserializeOwned>(
    token: &str,
    typ: &str,
    find_key: impl Fn(&str) -> Option<PublicKey>,
) -> Result<T, Error> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Error::Malformed)?;
    let (header, body) = signed.split_once('.').ok_or(Error::Malformed)?;
    let header = decode(header).ok_or(Error::Malformed)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| Error::Malformed)?;
    if header.alg != ALG || header.typ != typ {
        return Err(Error::WrongKind);
    }
    let key = find_key(header.kid).ok_or(Error::UnknownKey)?;
    let signature = decode(signature).ok_or(Error::Malformed)?;
    if !key.verifies(signed.as_bytes(), &signature) {
        return Err(Error::Forged);
    }
    let body = decode(body).ok_or(Error::Malformed)?;
    serde_json::from_slice(&body).map_err(|_| Error::Malformed)
}

/// Whether a token of ours is valid now by its `exp`, `nbf` and `iat`.
pub(crate) fn is_due(now: Timestamp, exp: i64, nbf: i64, iat: i64) -> bool {
    let now = now.as_second();
    now < exp && now + SKEW_S >= nbf && now + SKEW_S >= iat
}

/// Believes a token or says why not. `find_key` is the table of keys.
pub(crate) fn verify(
    token: &str,
    issuer: &Issuer,
    now: Timestamp,
    find_key: impl Fn(&str) -> Option<PublicKey>,
) -> Result<Claims, Error> {
    let wire: Wire = open(token, TYP, find_key)?;
    if wire.iss != issuer.issuer || wire.aud != issuer.audience {
        return Err(Error::Elsewhere);
    }
    if !is_due(now, wire.exp, wire.nbf, wire.iat) {
        return Err(Error::Expired);
    }
    wire.claims().ok_or(Error::Malformed)
}

#[cfg(test)]
mod tests;
