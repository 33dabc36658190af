//! Room `identity`: the text of an API key, and what a key may do.
//!
//! `mb_live_` (or `mb_test_`) + the key's id (26) + a secret of 256 bits (52) + a checksum (6), all
//! in Crockford base32: one word to select, one pattern for secret scanners, and a mistyped key is
//! told from a foreign one without the database. The id leads to the tenant through the directory
//! (`api_key_routes`) and not through a tenant's id inside the key, so a key tells its finder
//! nothing.

use misy_core::error::Fault;
use misy_core::id::{self, TypedId};
use misy_core::{
    ApiKeyId, Code, Grants, Permission, Public, Role, Secret, ServiceAccountId, TenantId,
    Timestamp, crypto,
};
use uuid::Uuid;

use crate::notices::model::Effect;
use crate::roles::model::{self as roles, Beyond, RoleBook, within};

/// How long the secret before a rotation may go on working, in seconds.
pub(crate) const OVERLAP_MAX_S: u32 = 7 * 24 * 3_600;

/// What a key is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApiKeyMode)]
pub(crate) enum Mode {
    /// Everything in its scope.
    Live,
    /// The same, but it never sends anything to a customer.
    Test,
}

impl Mode {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|mode| mode.slug() == slug)
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "mb_live_",
            Self::Test => "mb_test_",
        }
    }

    /// What is left of grants in a key of this kind.
    fn narrow(self, grants: Grants) -> Grants {
        let sending: Grants = [Permission::MessageSend].into_iter().collect();
        if self == Self::Test { grants.without(sending) } else { grants }
    }
}

const ID_CHARS: usize = 26;
const SECRET_CHARS: usize = 2 * ID_CHARS;
const CHECK_CHARS: usize = 6;

/// Whether a credential looks like an API key of any kind.
pub(crate) fn looks_like_key(bearer: &str) -> bool {
    bearer.starts_with("mb_")
}

/// A new key's text.
pub(crate) fn text_of(mode: Mode, id: ApiKeyId, secret: [u8; 32]) -> Secret {
    let (high, low) = secret.split_at(16);
    let half = |bytes: &[u8]| id::encode(Uuid::from_slice(bytes).unwrap_or_default());
    let body = format!("{}{}{}{}", mode.prefix(), id::encode(id.uuid()), half(high), half(low));
    Secret::new(format!("{body}{}", checksum(&body)))
}

/// The text of a live key of this id and secret, as whoever was given the key shows it.
pub fn live_key(id: ApiKeyId, secret: [u8; 32]) -> Secret {
    text_of(Mode::Live, id, secret)
}

/// The beginning of a key's text, by which people tell keys apart.
pub(crate) fn prefix_of(mode: Mode, id: ApiKeyId) -> String {
    format!("{}{}", mode.prefix(), id::encode(id.uuid()))
}

fn checksum(body: &str) -> String {
    let digest = crypto::sha256(body.as_bytes());
    let bits = u128::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 2);
    id::encode(Uuid::from_u128(bits))[ID_CHARS - CHECK_CHARS..].to_owned()
}

/// What a key's text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) mode: Mode,
    pub(crate) id: ApiKeyId,
    /// SHA-256 of the secret: 256 random bits need no slow hash.
    pub(crate) hash: [u8; 32],
}

/// Reads a key's text; `None` if it is not a key or was mistyped.
pub(crate) fn read(text: &Secret) -> Option<Presented> {
    let mut kinds = [Mode::Live, Mode::Test].into_iter();
    let (mode, body) =
        kinds.find_map(|mode| Some((mode, text.expose().strip_prefix(mode.prefix())?)))?;
    let whole = body.len() == ID_CHARS + SECRET_CHARS + CHECK_CHARS && body.is_ascii();
    let (body, check) = whole.then(|| body.split_at(ID_CHARS + SECRET_CHARS))?;
    if checksum(&format!("{}{body}", mode.prefix())) != check {
        return None;
    }
    let (id, secret) = body.split_at(ID_CHARS);
    let id = ApiKeyId::from_uuid(id::decode(id)?);
    let (high, low) = secret.split_at(ID_CHARS);
    let secret = [id::decode(high)?.into_bytes(), id::decode(low)?.into_bytes()].concat();
    Some(Presented { mode, id, hash: crypto::sha256(&secret) })
}

/// What a key or a service account may do: what a role grants, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Whatever the built-in role grants, also when that grows.
    Role(Role),
    /// Whatever a role of the tenant's own grants, also when that changes.
    Own(String),
    /// Exactly these.
    Permissions(Vec<Permission>),
    /// Of a key: whatever its service account may.
    Account,
}

impl Scope {
    /// What it comes to, as far as it needs no look-up: a role of the tenant's own is in a notice.
    pub(crate) fn effect(&self) -> Effect {
        match self {
            Self::Role(role) => Effect { base: Some(*role), permissions: Vec::new() },
            Self::Permissions(list) => Effect { base: None, permissions: list.clone() },
            Self::Own(_) | Self::Account => Effect::default(),
        }
    }

    /// What it comes to, with the tenant's own roles at hand.
    pub(crate) fn effect_in(&self, book: &RoleBook) -> Effect {
        if let Self::Own(slug) = self { book.effect(slug) } else { self.effect() }
    }

    /// Reads the two columns.
    pub(crate) fn from_columns(role: Option<&str>, permissions: &[String]) -> Option<Self> {
        let Some(slug) = role else {
            let list: Option<Vec<_>> = permissions.iter().map(|slug| slug.parse().ok()).collect();
            return list.map(|list| match list.as_slice() {
                [] => Self::Account,
                _ => Self::Permissions(list),
            });
        };
        Some(slug.parse().map_or_else(|_| Self::Own(slug.to_owned()), Self::Role))
    }

    /// The slug of the role, if it has one.
    pub(crate) fn role(&self) -> Option<&str> {
        match self {
            Self::Role(role) => Some(role.slug()),
            Self::Own(slug) => Some(slug),
            Self::Permissions(_) | Self::Account => None,
        }
    }

    pub(crate) fn own(&self) -> Vec<Permission> {
        match self {
            Self::Permissions(list) => list.clone(),
            Self::Role(_) | Self::Own(_) | Self::Account => Vec::new(),
        }
    }
}

/// Everything that a key's bearer may do: no more than its own scope, than its service account and
/// than keys of its kind.
pub(crate) fn bearer_grants(
    mode: Mode,
    scope: &Scope,
    own: &Effect,
    account: Option<&Effect>,
) -> Grants {
    let scoped = match (scope, account) {
        (Scope::Account, Some(account)) => account.grants(),
        (_, account) => {
            let granted = scope.effect().grants().union(own.grants());
            account.map_or(granted, |account| granted.intersect(account.grants()))
        }
    };
    mode.narrow(scoped)
}

/// Chooses the scope that was asked for: a role or permissions, of a tenant, and no more than the
/// maker has.
pub(crate) fn scope(
    role: Option<&str>,
    permissions: Option<Vec<Permission>>,
    maker: Grants,
    book: &RoleBook,
) -> Result<Scope, Refusal> {
    let scope = match (role, permissions) {
        (Some(slug), None) => {
            let assigned = roles::assign(slug, book);
            let assigned =
                assigned.map_err(|_| invalid("/role", "is not a role of this tenant"))?;
            assigned.own.map_or(Scope::Role(assigned.base), Scope::Own)
        }
        (None, Some(list)) if !list.is_empty() => Scope::Permissions(list),
        (None, _) => return Err(invalid("/permissions", "has to name one, or give a `role`")),
        (Some(_), Some(_)) => {
            return Err(invalid("/permissions", "cannot be given together with `role`"));
        }
    };
    within(maker, scope.effect_in(book).grants())?;
    Ok(scope)
}

/// Refuses an expiry that is over.
pub(crate) fn check_expiry(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match expires_at {
        Some(time) if time <= now => Err(invalid("/expires_at", "has to be in the future")),
        _ => Ok(()),
    }
}

fn invalid(pointer: &str, detail: &str) -> Refusal {
    let fault = Fault { pointer: pointer.to_owned(), detail: detail.to_owned() };
    Refusal::Rule(Error::Invalid(vec![fault]))
}

/// Why a key is not made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It could do more than its maker.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// It makes no sense.
    #[error(transparent)]
    Rule(Error),
}

/// What fails around API keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such key in this tenant.
    #[error("no such API key")]
    NotFound,
    /// It was revoked.
    #[error("the API key is revoked")]
    Revoked,
    /// Fields are wrong.
    #[error("the API key's data is not valid")]
    Invalid(Vec<Fault>),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Revoked => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
        }
    }
    fn detail(&self) -> Option<String> {
        (*self == Self::Revoked).then(|| "The key is revoked; make a new one.".to_owned())
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            Self::NotFound | Self::Revoked => Vec::new(),
        }
    }
}

/// A key as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    pub(crate) id: ApiKeyId,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) scope: Scope,
    /// The account that it belongs to.
    pub(crate) account: Option<ServiceAccountId>,
    /// Everything that its bearer may do.
    pub(crate) grants: Grants,
    pub(crate) revoked: bool,
    /// The actor who made it.
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// Exact to a minute.
    pub(crate) last_used_at: Option<Timestamp>,
    /// Until when the secret before the last rotation works.
    pub(crate) overlap_until: Option<Timestamp>,
    pub(crate) version: i64,
}

/// What a request's key is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) key: ApiKeyId,
    /// Where it leads.
    pub(crate) tenant: TenantId,
    /// SHA-256 of the secret's 32 bytes.
    pub(crate) secret_hash: Vec<u8>,
    /// The one before the last rotation, and until when it works.
    pub(crate) previous: Option<(Vec<u8>, Timestamp)>,
    /// Whether its service account is disabled.
    pub(crate) disabled: bool,
    /// How often keys of the tenant had changed when this was read.
    pub(crate) changes: i64,
    pub(crate) mode: Mode,
    /// What its bearer may do.
    pub(crate) grants: Grants,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Route {
    /// Whether this text opens it now, by its secret or by the one before.
    pub(crate) fn opens(&self, shown: &Presented, now: Timestamp) -> bool {
        let overlapping =
            |(hash, until): &(Vec<u8>, Timestamp)| now < *until && crypto::equal(hash, &shown.hash);
        let known = crypto::equal(&self.secret_hash, &shown.hash)
            || self.previous.as_ref().is_some_and(overlapping);
        known && self.mode == shown.mode && self.key == shown.id && !self.disabled
    }

    /// Whether the key has not expired.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests;
