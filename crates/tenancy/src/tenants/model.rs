//! Room `tenancy`: what a tenant is, which names are good ones, which status follows which.

mod rules;
mod status;

use misy_core::error::Fault;
use misy_core::{Code, Personal, Public, Secret, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use status::{ACTIONS, Event, Reason, Status, TRANSITIONS};

pub use rules::{
    check_business, check_change, check_locale, check_name, check_new, check_origin, check_slug,
    check_text, check_time_zone,
};

/// A client business.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name in addresses; never changes.
    pub slug: String,
    /// Its public id, by which a web page names it.
    pub site_id: String,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there: a [`Reason`], or why it could not be made.
    pub status_reason: Option<String>,
    /// What the operator said to that.
    pub status_note: Option<String>,
    /// Where it stood before it was closed.
    pub status_before: Option<Status>,
    /// When everything of it is removed, once it is closed.
    pub purge_at: Option<Timestamp>,
    /// What it may use.
    pub plan: String,
    /// Which part of the installation holds it.
    pub shard: String,
    /// Where its data must stay, for example `eu`.
    pub residency: Option<String>,
    /// Its language and region, for example `de-DE`.
    pub locale: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Address, contacts, tax number: whatever it says of itself.
    pub business: Map<String, Value>,
    /// Origins from which browsers may call the API.
    pub allowed_origins: Vec<String>,
    /// How it looks to its customers.
    pub brand: Brand,
    /// Whom to ask there.
    pub contacts: Vec<Contact>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// How a tenant looks to its customers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Brand {
    /// The name that customers read.
    #[schema(max_length = 200)]
    pub name: Option<String>,
    /// A colour as `#rrggbb`.
    #[schema(pattern = "^#[0-9a-f]{6}$")]
    pub primary_color: Option<String>,
    /// A second one.
    #[schema(pattern = "^#[0-9a-f]{6}$")]
    pub accent_color: Option<String>,
    /// Where its logo is: an `https` address.
    #[schema(max_length = 2000)]
    pub logo_url: Option<String>,
    /// Where its people work: links in mails lead there once a domain of it is verified, which
    /// `/v1/domains` does. An `https` address.
    #[schema(max_length = 2000)]
    pub app_url: Option<String>,
    /// The name that mail comes from.
    #[schema(max_length = 200)]
    pub mail_sender_name: Option<String>,
    /// The address that mail comes from, once its domain is verified.
    #[schema(max_length = 254)]
    pub mail_sender_address: Option<String>,
}

/// A person to ask at a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = TenantContact)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What for, for example `billing`.
    #[schema(pattern = "^[a-z_]{1,40}$")]
    pub role: String,
    /// Who.
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub name: Personal<String>,
    /// Where.
    #[schema(value_type = String, max_length = 254)]
    pub email: Personal<String>,
    /// By telephone.
    #[schema(value_type = Option<String>, max_length = 40)]
    pub phone: Option<Personal<String>>,
}

/// What an operator gives to make a tenant.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its name in addresses.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Its first owner.
    pub owner: NewOwner,
    /// What it may use.
    pub plan: String,
    /// Its language and region.
    pub locale: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Whatever it says of itself.
    pub business: Map<String, Value>,
    /// Origins from which browsers may call the API.
    pub allowed_origins: Vec<String>,
    /// How it looks to its customers.
    pub brand: Brand,
    /// Whom to ask there.
    pub contacts: Vec<Contact>,
    /// Where it lies.
    pub placement: Placement,
}

/// Where a tenant lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// Which part of the installation.
    #[schema(pattern = "^[a-z0-9-]{1,40}$")]
    pub shard: String,
    /// Where its data must stay.
    #[schema(pattern = "^[a-z0-9-]{2,40}$", example = "eu")]
    pub residency: Option<String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self { shard: "main".to_owned(), residency: None }
    }
}

/// The first owner of a tenant.
#[derive(Debug, Clone)]
pub struct NewOwner {
    /// Signs in with this.
    pub email: Personal<String>,
    /// Shown to colleagues.
    pub name: Personal<String>,
    /// Without one the owner gets an invitation.
    pub password: Option<Secret>,
}

#[derive(Deserialize)]
struct OwnerSeed {
    email: Personal<String>,
    name: Personal<String>,
    password: Option<Secret>,
}

impl NewOwner {
    /// As text to be sealed until the tenant is provisioned.
    pub fn to_seed(&self) -> Secret {
        let password = self.password.as_ref().map(Secret::expose);
        let seed = json!({"email": self.email, "name": self.name, "password": password});
        Secret::new(seed.to_string())
    }

    /// Reads [`NewOwner::to_seed`].
    pub fn from_seed(seed: &Secret) -> Option<Self> {
        let OwnerSeed { email, name, password } = serde_json::from_str(seed.expose()).ok()?;
        Some(Self { email, name, password })
    }
}

/// What a tenant or operator may change.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new name.
    pub name: Option<String>,
    /// A new language and region.
    pub locale: Option<String>,
    /// A new time zone.
    pub time_zone: Option<String>,
    /// New business data, replacing the old.
    pub business: Option<Map<String, Value>>,
    /// New origins, replacing the old.
    pub allowed_origins: Option<Vec<String>>,
    /// A new look, replacing the old.
    pub brand: Option<Brand>,
    /// New people to ask, replacing the old.
    pub contacts: Option<Vec<Contact>>,
    /// A new plan; operators only.
    pub plan: Option<String>,
    /// Where its data must stay; operators only.
    pub residency: Option<String>,
}

impl Change {
    /// The names of what it changes, for the audit log.
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [
            ("name", self.name.is_some()),
            ("locale", self.locale.is_some()),
            ("time_zone", self.time_zone.is_some()),
            ("business", self.business.is_some()),
            ("allowed_origins", self.allowed_origins.is_some()),
            ("brand", self.brand.is_some()),
            ("contacts", self.contacts.is_some()),
            ("plan", self.plan.is_some()),
            ("residency", self.residency.is_some()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// The tenant with the change in it.
    #[must_use]
    pub fn apply(self, mut tenant: Tenant) -> Tenant {
        tenant.name = self.name.unwrap_or(tenant.name);
        tenant.locale = self.locale.unwrap_or(tenant.locale);
        tenant.time_zone = self.time_zone.unwrap_or(tenant.time_zone);
        tenant.business = self.business.unwrap_or(tenant.business);
        tenant.allowed_origins = self.allowed_origins.unwrap_or(tenant.allowed_origins);
        tenant.brand = self.brand.unwrap_or(tenant.brand);
        tenant.contacts = self.contacts.unwrap_or(tenant.contacts);
        tenant.plan = self.plan.unwrap_or(tenant.plan);
        tenant.residency = self.residency.or(tenant.residency);
        tenant
    }
}

/// Why something about a tenant cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are wrong.
    #[error("the tenant's data is not valid")]
    Invalid(Vec<Fault>),
    /// Another tenant has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// There is no such tenant.
    #[error("no such tenant")]
    NotFound,
    /// It was changed meanwhile.
    #[error("the tenant was changed meanwhile")]
    Stale,
    /// The step does not lead anywhere from here.
    #[error("a tenant that is {} cannot take this step", .0.slug())]
    NoSuchStep(Status),
    /// The name given to confirm the removal is not the tenant's.
    #[error("the removal was not confirmed")]
    NotConfirmed,
    /// Somebody works on it at this moment.
    #[error("somebody works on the tenant at this moment")]
    Underway,
    /// A step of its removal is stuck.
    #[error("the step `{0}` could not be undone")]
    Stuck(&'static str),
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// A step of provisioning failed for now; it is tried again.
    #[error("the step `{step}` of provisioning failed for now")]
    Unfinished {
        /// The step's name.
        step: &'static str,
        /// When trying again makes sense.
        after: std::time::Duration,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step of provisioning refused; the tenant is given up.
    #[error("the step `{step}` of provisioning refused")]
    Impossible {
        /// The step's name.
        step: &'static str,
        /// What is wrong with the request, if the step could tell.
        faults: Vec<Fault>,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] misy_store::Error),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) | Self::Impossible { .. } | Self::NotConfirmed => Code::Invalid,
            Self::SlugTaken | Self::NoSuchStep(_) => Code::Conflict,
            Self::Stuck(_) => Code::Internal,
            Self::NotFound => Code::NotFound,
            Self::Stale => Code::Stale,
            Self::Denied(error) => error.code(),
            Self::Unfinished { .. } | Self::Underway => Code::Unavailable,
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Self::SlugTaken => Some("Another tenant has this slug; choose another.".to_owned()),
            Self::NoSuchStep(status) => {
                Some(format!("The tenant is {}; this step cannot be taken there.", status.slug()))
            }
            Self::Denied(error) => error.detail(),
            Self::Unfinished { .. } => Some(
                "The tenant was made, but not all it needs; this goes on by itself.".to_owned(),
            ),
            Self::Impossible { .. } => Some(
                "The tenant could not be given all it needs and was given up; its slug is free."
                    .to_owned(),
            ),
            Self::Store(error) => error.detail(),
            Self::Underway => Some("It is being made or removed at this moment.".to_owned()),
            Self::Invalid(_)
            | Self::NotConfirmed
            | Self::NotFound
            | Self::Stale
            | Self::Stuck(_) => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            Self::NotConfirmed => vec![Fault {
                pointer: "confirm".to_owned(),
                detail: "has to be the slug of the tenant, whose data cannot be brought back"
                    .to_owned(),
            }],
            // All else is checked before; only the owner is for other rooms to judge.
            Self::Impossible { faults, .. } if !faults.is_empty() => faults.clone(),
            Self::Impossible { step, .. } => vec![Fault {
                pointer: "/owner".to_owned(),
                detail: format!("refused by `{step}`: check the e-mail address and the password"),
            }],
            _ => Vec::new(),
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Unfinished { after, .. } => u32::try_from(after.as_secs().max(1)).ok(),
            Self::Underway => Some(5),
            Self::Store(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
