//! Room `identity`: what a provider says of a person, and what a login with it comes to. Pure: the
//! test of a connection and the login itself decide by the same lines.

use misy_core::id::TypedId;
use misy_core::{Code, Grants, Public, Role, Secret, SsoConnectionId, Timestamp, crypto, id};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::accounts::Email;
use crate::roles::model::within;
use crate::sso_connections::model::{Attributes, Rules};
use crate::users::model::{Status, User};

/// Longest subject, name and group that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;
/// Groups that are looked at.
const GROUPS_MAX: usize = 1_000;

/// What a provider says of somebody who has just proved to it who they are. Its signature is
/// verified already.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Assertion {
    /// The provider's own name of the person: `sub`, a persistent `NameID`.
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    /// Whether the provider vouches that the address is the person's.
    pub(crate) email_verified: bool,
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
    /// The provider's own name of its session: `sid`, `SessionIndex`.
    pub(crate) session_index: Option<String>,
    /// When the person proved it.
    pub(crate) auth_time: Option<Timestamp>,
    /// How: `pwd`, `otp`, `mfa` (RFC 8176).
    pub(crate) amr: Vec<String>,
}

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assertion").field("groups", &self.groups.len()).finish_non_exhaustive()
    }
}

impl Assertion {
    /// Reads claims or attributes by the connection's names. What has another form than expected is
    /// as if it were absent.
    pub(crate) fn read(
        names: &Attributes,
        subject: &str,
        claims: &Map<String, Value>,
        email_verified: bool,
    ) -> Self {
        let first = |name: &str| texts(claims.get(name)?).into_iter().next();
        Self {
            subject: subject.to_owned(),
            email: first(&names.email),
            email_verified,
            name: first(&names.name),
            groups: claims.get(&names.groups).map(texts).unwrap_or_default(),
            session_index: first("sid"),
            auth_time: claims
                .get("auth_time")
                .and_then(Value::as_i64)
                .and_then(|second| Timestamp::from_second(second).ok()),
            amr: claims.get("amr").map(texts).unwrap_or_default(),
        }
    }
}

/// Ways to prove something else than knowledge, by their names in RFC 8176 section 2.
const POSSESSIONS: [&str; 11] =
    ["face", "fpt", "hwk", "iris", "otp", "pop", "retina", "sc", "sms", "swk", "tel"];

impl Assertion {
    /// Whether the provider says that it saw a second factor: `mfa`, or something that is known and
    /// something else. A provider that says nothing saw none.
    pub(crate) fn saw_second_factor(&self) -> bool {
        let says = |name: &str| self.amr.iter().any(|one| one == name);
        let knowledge = ["pwd", "pin", "kba"].into_iter().any(says);
        says("mfa") || knowledge && POSSESSIONS.into_iter().any(says)
    }
}

/// A text or a list of texts; empty and overlong ones are left out.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let good = |text: &&str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
    match value {
        Value::String(text) => {
            Some(text.as_str()).filter(good).map(str::to_owned).into_iter().collect()
        }
        Value::Array(items) => {
            let each = items.iter().filter_map(Value::as_str).filter(good);
            each.take(GROUPS_MAX).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// What is known here about the person of an assertion.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Who came with this subject before.
    pub(crate) linked: Option<User>,
    /// Who has the address.
    pub(crate) by_email: Option<User>,
    /// What the tenant's own role of that person grants.
    pub(crate) own: Option<Grants>,
    /// Whether the address's domain is verified as this tenant's.
    pub(crate) domain_verified: bool,
    /// Whether the connection is switched on.
    pub(crate) enabled: bool,
}

/// Who comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// Came with this subject before.
    Linked(User),
    /// Is there by address; the subject is noted now.
    Found(User),
    /// Is added.
    New { email: Email, name: String },
}

/// What a login comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Yield {
    pub(crate) who: Who,
    pub(crate) role: Role,
    /// Groups of the person that the mapping names.
    pub(crate) groups: Vec<String>,
}

/// Why a login comes to nothing. The administrator reads it in the audit log and in the test of the
/// connection; the visitor is told only that it did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SsoRefusal)]
pub(crate) enum Refusal {
    /// The connection is switched off.
    Disabled,
    /// No subject, or one that is too long.
    NoSubject,
    /// No usable e-mail address.
    NoEmail,
    /// Somebody has the address and the provider does not vouch for it.
    EmailNotVerified,
    /// Somebody has the address and its domain is not verified.
    DomainNotVerified,
    /// The person is not there and is not to be added.
    NotProvisioned,
    /// The person is disabled.
    UserDisabled,
    /// No group gives a role and there is no default.
    NoRole,
    /// The person has a role above the connection's ceiling.
    AboveCeiling,
    /// SAML: the provider names the person anew at each login.
    SamlTransientName,
}

/// Something about a connection that was tried without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

impl Check {
    pub(crate) fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into() }
    }
}

impl Refusal {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NoSubject => "no_subject",
            Self::NoEmail => "no_email",
            Self::EmailNotVerified => "email_not_verified",
            Self::DomainNotVerified => "domain_not_verified",
            Self::NotProvisioned => "not_provisioned",
            Self::UserDisabled => "user_disabled",
            Self::NoRole => "no_role",
            Self::AboveCeiling => "above_ceiling",
            Self::SamlTransientName => "saml_transient_name",
        }
    }

    /// What the administrator can do about it.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Disabled => "Set the connection's `status` to `enabled`.",
            Self::NoSubject => "Have the provider send a stable id of at most 255 characters.",
            Self::NoEmail => {
                "Have the provider send the e-mail address, or name where it is in \
                 `attributes.email`."
            }
            Self::EmailNotVerified => {
                "A person with this address exists. Have the provider send `email_verified`, or \
                 set `settings.trust_email` if its administrators alone set addresses."
            }
            Self::DomainNotVerified => {
                "A person with this address exists. Verify the domain at `/v1/domains`, so that \
                 the provider may speak for it."
            }
            Self::NotProvisioned => "Add the person first, or set `jit`.",
            Self::UserDisabled => "Set the person's `status` to `active`.",
            Self::NoRole => {
                "Map one of the person's groups in `role_mapping`, or set `default_role`."
            }
            Self::AboveCeiling => {
                "The person has a higher role than `role_ceiling`; owners sign in with a password."
            }
            Self::SamlTransientName => {
                "Have the provider send a persistent name id, or the e-mail address as name id."
            }
        }
    }
}

/// Longest subject (`OpenID` Connect Core section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Decides a login. Whoever is there already is recognised by subject; by address only if the
/// provider vouches for it and the tenant owns its domain, so that no provider can speak for
/// people of others.
pub(crate) fn yields(rules: &Rules, assertion: &Assertion, known: Known) -> Result<Yield, Refusal> {
    if !known.enabled {
        return Err(Refusal::Disabled);
    }
    if !(1..=SUBJECT_BYTES_MAX).contains(&assertion.subject.len()) {
        return Err(Refusal::NoSubject);
    }
    let (mapped, groups) = mapped(rules, assertion);
    let Known { linked, by_email, own, domain_verified, .. } = known;
    let who = match (linked, by_email) {
        (Some(user), _) => Who::Linked(user),
        (None, Some(_)) if !assertion.email_verified => return Err(Refusal::EmailNotVerified),
        (None, Some(_)) if !domain_verified => return Err(Refusal::DomainNotVerified),
        (None, Some(user)) => Who::Found(user),
        (None, None) => newcomer(rules, assertion)?,
    };
    let role = match &who {
        Who::Linked(user) | Who::Found(user) => {
            admit(rules, user, own)?;
            // Without a mapping the role is what administrators here made it.
            if rules.role_mapping.is_empty() { Some(user.role) } else { mapped }
        }
        Who::New { .. } => mapped,
    };
    let role = role.ok_or(Refusal::NoRole)?.min(rules.role_ceiling);
    Ok(Yield { who, role, groups })
}

fn admit(rules: &Rules, user: &User, own: Option<Grants>) -> Result<(), Refusal> {
    if user.status == Status::Disabled {
        return Err(Refusal::UserDisabled);
    }
    let beyond = own.is_some_and(|own| within(rules.role_ceiling.grants(), own).is_err());
    if beyond || user.role > rules.role_ceiling { Err(Refusal::AboveCeiling) } else { Ok(()) }
}

fn newcomer(rules: &Rules, assertion: &Assertion) -> Result<Who, Refusal> {
    if !rules.jit {
        return Err(Refusal::NotProvisioned);
    }
    let email = email_of(assertion).ok_or(Refusal::NoEmail)?;
    let local = email.as_str().split('@').next().unwrap_or_default();
    let name = assertion.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let name = name.unwrap_or(local).chars().take(200).collect();
    Ok(Who::New { email, name })
}

/// The address of an assertion, normalised.
pub(crate) fn email_of(assertion: &Assertion) -> Option<Email> {
    assertion.email.as_deref()?.parse().ok()
}

/// The domain of an address.
pub(crate) fn domain_of(email: &Email) -> &str {
    email.as_str().rsplit('@').next().unwrap_or_default()
}

/// The highest role that the groups give, else the default.
fn mapped(rules: &Rules, assertion: &Assertion) -> (Option<Role>, Vec<String>) {
    let named =
        |group: &&crate::sso_connections::model::GroupRole| assertion.groups.contains(&group.group);
    let hits: Vec<_> = rules.role_mapping.iter().filter(named).collect();
    let role = hits.iter().map(|hit| hit.role).max().or(rules.default_role);
    (role, hits.iter().map(|hit| hit.group.clone()).collect())
}

/// A login that a visitor has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) id: Uuid,
    /// Where the visitor wants to be afterwards: a path of ours.
    pub(crate) return_to: String,
    /// Whose verifier the code is given out against.
    pub(crate) challenge: Option<String>,
}

/// What a login under way derives from its state (one secret, several purposes).
#[derive(Debug)]
pub(crate) struct Derived {
    pub(crate) nonce: String,
    /// The PKCE verifier (RFC 7636 section 4.1).
    pub(crate) verifier: Secret,
    /// An XML id for requests of protocols that name theirs.
    pub(crate) request_id: String,
}

/// Derives from a state's secret. `key` is the installation's, so the state alone gives nothing.
pub(crate) fn derive(key: &crypto::Key, state: &str) -> Derived {
    let of = |purpose: &str| {
        let key = key.derive(purpose);
        crypto::to_base64url(&crypto::hmac_sha256(key.expose(), state.as_bytes()))
    };
    Derived {
        nonce: of("nonce"),
        verifier: Secret::new(of("verifier")),
        request_id: format!("_{}", of("request")),
    }
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub(crate) fn challenge_of(verifier: &str) -> String {
    crypto::to_base64url(&crypto::sha256(verifier.as_bytes()))
}

/// A path of ours to go to after a login: no scheme, no host, nothing that a browser reads as one.
pub(crate) fn is_own_path(path: &str) -> bool {
    let mut bytes = path.bytes();
    path.len() <= 1_024
        && bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#')
}

/// Whether an address lies on the origin of a page: the same host and port over `https`, and
/// nothing in it that a browser reads in another way.
pub(crate) fn is_on_page(page: &str, address: &str) -> bool {
    let origin = |url: &str| {
        let rest = url.strip_prefix("https://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Some(rest[..end].to_ascii_lowercase())
    };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
    address.len() <= 1_024
        && address.bytes().all(is_plain)
        && origin(address).is_some_and(|own| !own.is_empty() && Some(own) == origin(page))
}

/// Where a browser goes that is to return there: to our own origin, or to a page that was checked.
pub(crate) fn address_of(issuer: &str, return_to: &str) -> String {
    if return_to.starts_with('/') { format!("{issuer}{return_to}") } else { return_to.to_owned() }
}

const CODE_PREFIX: &str = "mbc_";

/// The text of a one-time code. The connection in it leads to the tenant.
pub(crate) fn code_text(connection: SsoConnectionId, secret: [u8; 32]) -> Secret {
    let id = id::encode(connection.uuid());
    Secret::new(format!("{CODE_PREFIX}{id}{}", crypto::to_base64url(&secret)))
}

/// The connection of a code and the hash of its secret.
pub(crate) fn read_code(text: &Secret) -> Option<(SsoConnectionId, Vec<u8>)> {
    let body = text.expose().strip_prefix(CODE_PREFIX).filter(|body| body.is_ascii())?;
    let (id, secret) = body.split_at_checked(26)?;
    let secret = crypto::from_base64url(secret).filter(|bytes| bytes.len() == 32)?;
    Some((SsoConnectionId::from_uuid(id::decode(id)?), crypto::sha256(&secret).to_vec()))
}

/// What fails around logins, as the visitor may know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The login is unknown, over, or was begun in another browser.
    #[error("no such login under way")]
    UnknownLogin,
    /// The code is unknown, used, expired, or its verifier does not match.
    #[error("the code is not valid")]
    InvalidCode,
    /// Where to return to is not a path of ours.
    #[error("the path to return to is not one of ours")]
    ForeignReturn,
    /// The challenge is not one of S256.
    #[error("the code challenge is not of S256")]
    BadChallenge,
    /// A logout token of a provider is not believed; why, is not told.
    #[error("the logout token is not believed")]
    LogoutToken,
    /// The text is no metadata of a SAML provider.
    #[error("this is no metadata of a SAML 2.0 identity provider")]
    Metadata,
    /// The address of metadata could not be read; why, is not told: it may be any address.
    #[error("the address of the metadata cannot be read: {0}")]
    Address(String),
    /// The provider could not be reached or does not speak the protocol as it should.
    #[error("the identity provider failed: {0}")]
    Provider(String),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::UnknownLogin | Self::InvalidCode | Self::LogoutToken => Code::SsoFailed,
            Self::ForeignReturn | Self::BadChallenge | Self::Metadata | Self::Address(_) => {
                Code::Invalid
            }
            Self::Provider(_) => Code::Unavailable,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::UnknownLogin => {
                "This login is not under way in this browser: it was finished, is older than ten \
                 minutes, or was begun elsewhere. Start the sign-in again."
            }
            Self::InvalidCode => "The code is used, older than a minute, or not of this browser.",
            Self::LogoutToken => "`logout_token` is not a logout token of this provider for us.",
            Self::ForeignReturn
            | Self::BadChallenge
            | Self::Metadata
            | Self::Address(_)
            | Self::Provider(_) => return None,
        };
        Some(text.to_owned())
    }
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::Provider(_)).then_some(10)
    }
    fn faults(&self) -> Vec<misy_core::error::Fault> {
        let (pointer, detail) = match self {
            Self::ForeignReturn => (
                "return_to",
                "has to be a path that begins with one `/`, or lie where the tenant's own page is \
                 (`brand.app_url`), on a domain that is verified",
            ),
            Self::BadChallenge => ("code_challenge", "has to be a SHA-256 in base64url (S256)"),
            Self::Address(_) => {
                ("url", "has to be a public address that answers at once; or put the text in `xml`")
            }
            Self::Metadata => ("xml", "has to be metadata of one provider, or `url` lead to it"),
            _ => return Vec::new(),
        };
        vec![misy_core::error::Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }]
    }
}

#[cfg(test)]
mod tests;
