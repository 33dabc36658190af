//! Room `identity`: the text of an API key, and what a key may do.
//!
//! `mb_live_` + the key's id (26) + a secret of 256 bits (52) + a checksum (6), all in Crockford
//! base32: one word to select, one pattern for secret scanners, and a mistyped key is told from a
//! foreign one without the database. The id leads to the tenant through the directory
//! (`api_key_routes`) and not through a tenant's id inside the key, so a key tells its finder
//! nothing.

use misy_core::error::Fault;
use misy_core::id::{self, TypedId};
use misy_core::{
    ApiKeyId, Code, Grants, Permission, Public, Role, Secret, TenantId, Timestamp, crypto,
};
use uuid::Uuid;

use crate::roles::model::{Beyond, within};

const PREFIX: &str = "mb_live_";
const ID_CHARS: usize = 26;
const SECRET_CHARS: usize = 2 * ID_CHARS;
const CHECK_CHARS: usize = 6;

/// Whether a credential looks like an API key of any kind.
pub(crate) fn looks_like_key(bearer: &str) -> bool {
    bearer.starts_with("mb_")
}

/// A new key's text.
pub(crate) fn text_of(id: ApiKeyId, secret: [u8; 32]) -> Secret {
    let (high, low) = secret.split_at(16);
    let half = |bytes: &[u8]| id::encode(Uuid::from_slice(bytes).unwrap_or_default());
    let body = format!("{PREFIX}{}{}{}", id::encode(id.uuid()), half(high), half(low));
    Secret::new(format!("{body}{}", checksum(&body)))
}

/// The beginning of a key's text, by which people tell keys apart.
pub(crate) fn prefix_of(id: ApiKeyId) -> String {
    format!("{PREFIX}{}", id::encode(id.uuid()))
}

fn checksum(body: &str) -> String {
    let digest = crypto::sha256(body.as_bytes());
    let bits = u128::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 2);
    id::encode(Uuid::from_u128(bits))[ID_CHARS - CHECK_CHARS..].to_owned()
}

/// The id of a key's text and the hash of its secret; `None` if it is not a key or was mistyped.
/// 256 random bits need no slow hash.
pub(crate) fn read(text: &Secret) -> Option<(ApiKeyId, [u8; 32])> {
    let body = text.expose().strip_prefix(PREFIX)?;
    let whole = body.len() == ID_CHARS + SECRET_CHARS + CHECK_CHARS && body.is_ascii();
    let (body, check) = whole.then(|| body.split_at(ID_CHARS + SECRET_CHARS))?;
    if checksum(&format!("{PREFIX}{body}")) != check {
        return None;
    }
    let (id, secret) = body.split_at(ID_CHARS);
    let id = ApiKeyId::from_uuid(id::decode(id)?);
    let (high, low) = secret.split_at(ID_CHARS);
    let secret = [id::decode(high)?.into_bytes(), id::decode(low)?.into_bytes()].concat();
    Some((id, crypto::sha256(&secret)))
}

/// What a key may do: what a role grants, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Whatever the role grants, also when that grows.
    Role(Role),
    /// Exactly these.
    Permissions(Vec<Permission>),
}

impl Scope {
    pub(crate) fn grants(&self) -> Grants {
        match self {
            Self::Role(role) => role.grants(),
            Self::Permissions(list) => list.iter().copied().collect(),
        }
    }

    /// Reads the two columns.
    pub(crate) fn from_columns(role: Option<&str>, permissions: &[String]) -> Option<Self> {
        match role {
            Some(role) => role.parse().ok().map(Self::Role),
            None => permissions
                .iter()
                .map(|slug| slug.parse().ok())
                .collect::<Option<Vec<_>>>()
                .map(Self::Permissions),
        }
    }

    pub(crate) fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            Self::Permissions(_) => None,
        }
    }

    pub(crate) fn own(&self) -> Vec<Permission> {
        match self {
            Self::Role(_) => Vec::new(),
            Self::Permissions(list) => list.clone(),
        }
    }
}

/// Chooses the scope that was asked for: a role or permissions, of a tenant, and no more than the
/// maker has.
pub(crate) fn scope(
    role: Option<Role>,
    permissions: Option<Vec<Permission>>,
    maker: Grants,
) -> Result<Scope, Refusal> {
    let scope = match (role, permissions) {
        (Some(Role::Operator), _) => return Err(invalid("/role", "is not a role of tenants")),
        (Some(role), None) => Scope::Role(role),
        (None, Some(list)) if !list.is_empty() => Scope::Permissions(list),
        (None, _) => return Err(invalid("/permissions", "has to name one, or give a `role`")),
        (Some(_), Some(_)) => {
            return Err(invalid("/permissions", "cannot be given together with `role`"));
        }
    };
    within(maker, scope.grants())?;
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
    pub(crate) scope: Scope,
    pub(crate) revoked: bool,
    /// The actor who made it.
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// Exact to a minute.
    pub(crate) last_used_at: Option<Timestamp>,
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
    /// What its bearer may do.
    pub(crate) grants: Grants,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Route {
    /// Whether the key has not expired.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_one_word_with_a_pattern() {
        let text = text_of(ApiKeyId::from_uuid(Uuid::max()), [0xff; 32]);
        assert_eq!(text.expose().len(), 92);
        assert!(text.expose().bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()));
        assert!(text.expose().starts_with(&prefix_of(ApiKeyId::from_uuid(Uuid::max()))));
    }

    #[test]
    fn a_key_does_no_more_than_its_maker() {
        let maker = Role::Admin.grants();
        assert!(scope(Some(Role::Agent), None, maker).is_ok());
        assert_eq!(scope(Some(Role::Owner), None, maker), Err(Refusal::Beyond(Beyond)));
        let listed = |list: &[Permission]| scope(None, Some(list.to_vec()), maker);
        assert!(listed(&[Permission::MessageSend]).is_ok());
        assert_eq!(
            listed(&[Permission::MessageSend, Permission::OwnerManage]),
            Err(Refusal::Beyond(Beyond))
        );
        assert_eq!(listed(&[Permission::PlatformTenantRead]), Err(Refusal::Beyond(Beyond)));
    }

    #[test]
    fn a_key_has_a_role_or_permissions_and_not_both_or_none() {
        let all = Role::Owner.grants();
        let one = || Some(vec![Permission::MessageSend]);
        for (role, permissions) in [
            (None, None),
            (None, Some(Vec::new())),
            (Some(Role::Agent), one()),
            (Some(Role::Operator), None),
        ] {
            assert!(matches!(scope(role, permissions, all), Err(Refusal::Rule(_))));
        }
    }

    #[test]
    fn an_expiry_in_the_past_is_refused() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        assert!(check_expiry(Some(at(10)), at(10)).is_err());
        assert_eq!(check_expiry(Some(at(11)), at(10)), Ok(()));
        assert_eq!(check_expiry(None, at(10)), Ok(()));
    }

    proptest! {
        #[test]
        fn every_key_reads_back(bits: u128, secret: [u8; 32]) {
            let id = ApiKeyId::from_uuid(Uuid::from_u128(bits));
            let text = text_of(id, secret);
            prop_assert_eq!(read(&text), Some((id, crypto::sha256(&secret))));
        }

        #[test]
        fn a_typing_error_is_noticed(secret: [u8; 32], at in 8usize..92, to in "[0-9a-z]") {
            let text = text_of(ApiKeyId::from_uuid(Uuid::from_u128(7)), secret);
            let text = text.expose();
            prop_assume!(text[at..=at] != to);
            let typed = Secret::new(format!("{}{to}{}", &text[..at], &text[at + 1..]));
            prop_assert_eq!(read(&typed), None);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(mb_live_)?.{0,100}") {
            prop_assert_eq!(read(&Secret::new(text)), None);
        }
    }
}
