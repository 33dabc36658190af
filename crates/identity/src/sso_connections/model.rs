//! Room `identity`: what a connection to an identity provider may be, and who it may let in as
//! what.

mod settings;

use std::collections::BTreeMap;

use misy_core::crypto::{self, Key, OpenError, Place};
use misy_core::error::Fault;
use misy_core::id::TypedId;
use misy_core::{Code, Public, Role, Secret, SsoConnectionId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use settings::{OidcSettings, SamlSettings, SigningAlgorithm, TokenAuth};

use crate::roles::model::Beyond;

/// The protocol that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SsoKind)]
pub(crate) enum Kind {
    /// `OpenID` Connect.
    Oidc,
    /// SAML 2.0.
    Saml,
}

impl Kind {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Saml => "saml",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        [Self::Oidc, Self::Saml].into_iter().find(|kind| kind.slug() == slug)
    }

    /// The secrets that a connection of this kind may have.
    pub(crate) const fn secrets(self) -> &'static [&'static str] {
        match self {
            Self::Oidc => &["client_secret"],
            Self::Saml => &["signing_key"],
        }
    }
}

/// Whether people may sign in through a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SsoStatus)]
pub(crate) enum Status {
    /// They may.
    Enabled,
    /// They may not; sessions that exist go on.
    Disabled,
}

impl Status {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        [Self::Enabled, Self::Disabled].into_iter().find(|status| status.slug() == slug)
    }
}

/// A group of the provider and the role that its members get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupRole {
    /// The group as the provider names it; compared exactly.
    #[schema(min_length = 1, max_length = 256, example = "support-team")]
    pub(crate) group: String,
    /// The role of its members; of several, the highest counts.
    pub(crate) role: Role,
}

/// Where in what the provider says the facts about a person are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = SsoAttributes)]
pub(crate) struct Attributes {
    /// The claim or attribute with the e-mail address.
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) email: String,
    /// The one with the name as shown.
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) name: String,
    /// The one with the list of groups.
    #[schema(min_length = 1, max_length = 256)]
    pub(crate) groups: String,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { email: "email".to_owned(), name: "name".to_owned(), groups: "groups".to_owned() }
    }
}

/// Whom a connection lets in, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// Whether somebody who is not there yet is added at the first sign-in.
    pub(crate) jit: bool,
    /// The role of those whose groups name none; without it they stay outside.
    pub(crate) default_role: Option<Role>,
    /// No sign-in through this connection gives more than this role.
    pub(crate) role_ceiling: Role,
    /// Groups and their roles.
    pub(crate) role_mapping: Vec<GroupRole>,
    /// Where the facts are.
    pub(crate) attributes: Attributes,
}

impl Rules {
    /// Everything that is wrong with them. Nobody becomes an owner by what a provider says: whoever
    /// administers the provider would own the tenant.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |pointer: String, role: Role| {
            if role > self.role_ceiling {
                faults.push(fault(&pointer, "is above `role_ceiling`"));
            }
        };
        self.default_role.iter().for_each(|role| check("/default_role".to_owned(), *role));
        for (at, one) in self.role_mapping.iter().enumerate() {
            check(format!("/role_mapping/{at}/role"), one.role);
        }
        if self.role_ceiling >= Role::Owner {
            faults.push(fault("/role_ceiling", "has to be `admin` or less: owners use a password"));
        }
        faults
    }
}

/// A connection without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) id: SsoConnectionId,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) status: Status,
    /// By kind: [`OidcSettings`], [`SamlSettings`].
    pub(crate) settings: Map<String, Value>,
    /// Sealed; see [`seal`].
    pub(crate) secrets: Vec<u8>,
    /// Which secrets there are.
    pub(crate) secret_names: Vec<String>,
    pub(crate) rules: Rules,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Connection {
    /// Whether addresses count as verified where the provider says nothing of it.
    pub(crate) fn trusts_email(&self) -> bool {
        match self.kind {
            Kind::Oidc => OidcSettings::read(&self.settings).is_ok_and(|read| read.trust_email),
            Kind::Saml => true,
        }
    }
}

/// Secrets of a connection by name.
pub(crate) type Secrets = BTreeMap<String, Secret>;

/// A connection to be made.
#[derive(Debug)]
pub(crate) struct NewConnection {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) settings: Map<String, Value>,
    pub(crate) secrets: Secrets,
    pub(crate) rules: Rules,
}

/// What is to change; what is absent stays.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) status: Option<Status>,
    /// Replaces all settings.
    pub(crate) settings: Option<Map<String, Value>>,
    /// Replaces those that are named, removes those that are `None`.
    pub(crate) secrets: BTreeMap<String, Option<Secret>>,
    pub(crate) jit: Option<bool>,
    pub(crate) default_role: Option<Option<Role>>,
    pub(crate) role_ceiling: Option<Role>,
    pub(crate) role_mapping: Option<Vec<GroupRole>>,
    pub(crate) attributes: Option<Attributes>,
}

impl Change {
    /// The rules after the change.
    pub(crate) fn rules(&self, before: &Rules) -> Rules {
        let before = before.clone();
        Rules {
            jit: self.jit.unwrap_or(before.jit),
            default_role: self.default_role.unwrap_or(before.default_role),
            role_ceiling: self.role_ceiling.unwrap_or(before.role_ceiling),
            role_mapping: self.role_mapping.clone().unwrap_or(before.role_mapping),
            attributes: self.attributes.clone().unwrap_or(before.attributes),
        }
    }

    /// The secrets after the change.
    pub(crate) fn secrets(&self, mut before: Secrets) -> Secrets {
        for (name, secret) in &self.secrets {
            match secret {
                Some(secret) => before.insert(name.clone(), secret.clone()),
                None => before.remove(name),
            };
        }
        before
    }
}

/// Everything that is wrong with a connection as a whole.
pub(crate) fn check(
    kind: Kind,
    settings: &Map<String, Value>,
    secrets: &Secrets,
    rules: &Rules,
) -> Result<(), Error> {
    let mut faults = match kind {
        Kind::Oidc => OidcSettings::read(settings).map(drop).err().unwrap_or_default(),
        Kind::Saml => SamlSettings::read(settings).map(drop).err().unwrap_or_default(),
    };
    if kind == Kind::Oidc
        && let Ok(read) = OidcSettings::read(settings)
        && read.needs_secret() != secrets.contains_key("client_secret")
    {
        let detail = "has to be there unless `token_auth` is `none`, and only then";
        faults.push(fault("/secrets/client_secret", detail));
    }
    if kind == Kind::Saml {
        faults.extend(saml_faults(settings, secrets));
    }
    let known = kind.secrets();
    for name in secrets.keys().filter(|name| !known.contains(&name.as_str())) {
        let detail = format!("is no secret of this kind; there are: {}", known.join(", "));
        faults.push(fault(&format!("/secrets/{name}"), &detail));
    }
    faults.extend(rules.faults());
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// What is wrong with our own key.
fn saml_faults(settings: &Map<String, Value>, secrets: &Secrets) -> Option<Fault> {
    let key = secrets.get("signing_key");
    let signs = SamlSettings::read(settings).is_ok_and(|read| read.sign_requests);
    let bad = key.is_some_and(|key| misy_saml::certificate_of(key, "x").is_err());
    let detail = match key {
        Some(_) if bad => "has to be an RSA key, as PKCS #8 in PEM",
        None if signs => "has to be there if `sign_requests` is set",
        _ => return None,
    };
    Some(fault("/secrets/signing_key", detail))
}

pub(crate) fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

fn place(tenant: TenantId, id: SsoConnectionId) -> Place<'static> {
    Place { tenant, table: "sso_connections", column: "secrets", row: id.uuid() }
}

/// Seals secrets for one connection's row.
pub(crate) fn seal(
    key: &Key,
    version: u32,
    tenant: TenantId,
    id: SsoConnectionId,
    nonce: [u8; crypto::SEAL_NONCE_BYTES],
    secrets: &Secrets,
) -> Vec<u8> {
    let texts: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect();
    let plain = serde_json::to_vec(&texts).expect("texts by name always serialise");
    crypto::seal(key, version, &place(tenant, id), nonce, &plain)
}

/// Opens what [`seal`] made for the same row.
pub(crate) fn open(
    key: &Key,
    tenant: TenantId,
    id: SsoConnectionId,
    sealed: &[u8],
) -> Result<Secrets, OpenError> {
    let plain = crypto::open(key, &place(tenant, id), sealed)?;
    serde_json::from_slice(&plain).map_err(|_| OpenError)
}

/// What fails around connections.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such connection in this tenant.
    #[error("no such connection")]
    NotFound,
    /// Another connection of the tenant has the name.
    #[error("the name is taken")]
    NameTaken,
    /// Fields are wrong.
    #[error("the connection's data is not valid")]
    Invalid(Vec<Fault>),
    /// The secrets do not open: the tenant's key is not the one they were sealed under.
    #[error("the connection's secrets cannot be opened")]
    Sealed(#[source] OpenError),
    /// The program was built without a way to the outside.
    #[error("there is no way to identity providers")]
    NoWayOut,
    /// More rights would be handed out than the actor has.
    #[error(transparent)]
    Beyond(#[from] Beyond),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::NameTaken => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
            Self::Sealed(_) => Code::Internal,
            Self::NoWayOut => Code::Unavailable,
            Self::Beyond(error) => error.code(),
        }
    }
    fn detail(&self) -> Option<String> {
        match self {
            Self::NameTaken => Some("Another connection of the tenant has this name.".to_owned()),
            Self::Beyond(error) => error.detail(),
            _ => None,
        }
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
    fn retry_after_s(&self) -> Option<u32> {
        matches!(self, Self::NoWayOut).then_some(60)
    }
}

#[cfg(test)]
mod tests;
