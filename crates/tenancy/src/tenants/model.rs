//! Room `tenancy`: what a tenant is, which names are good ones, which status follows which.

mod rules;

use misy_core::error::Fault;
use misy_core::{Code, Personal, Public, Secret, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use rules::{
    check_business, check_change, check_locale, check_new, check_origin, check_slug, check_text,
    check_time_zone,
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
    /// Why it stands there.
    pub status_reason: Option<String>,
    /// What it may use.
    pub plan: String,
    /// Its language and region, for example `de-DE`.
    pub locale: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Address, contacts, tax number: whatever it says of itself.
    pub business: Map<String, Value>,
    /// Origins from which browsers may call the API.
    pub allowed_origins: Vec<String>,
    /// Goes up with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Where a tenant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Asked for, not yet approved.
    Requested,
    /// Its resources are being made.
    Provisioning,
    /// It works.
    Active,
    /// Stopped for a reason that can end.
    Suspended,
    /// On its way out, data still there.
    Closing,
    /// Its data is being removed.
    Purging,
    /// Nothing is left but a tombstone.
    Purged,
    /// Its resources could not be made.
    Failed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::Provisioning,
        Self::Active,
        Self::Suspended,
        Self::Closing,
        Self::Purging,
        Self::Purged,
        Self::Failed,
    ];

    /// The name on the wire and in the database.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closing => "closing",
            Self::Purging => "purging",
            Self::Purged => "purged",
            Self::Failed => "failed",
        }
    }

    /// Reads [`Status::slug`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.slug() == text)
    }

    /// The action's name in the audit log when provisioning ends here.
    pub const fn reached(self) -> &'static str {
        match self {
            Self::Failed => "tenant.failed",
            _ => "tenant.provisioned",
        }
    }

    /// The status that an operator's step leads to, if it may be taken here.
    pub fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Provisioning | Self::Suspended, Step::Activate) => Some(Self::Active),
            (Self::Active, Step::Suspend) => Some(Self::Suspended),
            _ => None,
        }
    }
}

/// What moves a tenant from one status to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Let it work.
    Activate,
    /// Stop it for a while.
    Suspend,
}

impl Step {
    /// The action's name in the audit log.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Activate => "tenant.activated",
            Self::Suspend => "tenant.suspended",
        }
    }
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
    /// A new plan; operators only.
    pub plan: Option<String>,
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
            ("plan", self.plan.is_some()),
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
        tenant.plan = self.plan.unwrap_or(tenant.plan);
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
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] misy_core::ctx::Denied),
    /// A step of provisioning failed for now; it is tried again.
    #[error("the step `{step}` of provisioning failed for now")]
    Unfinished {
        /// The step's name.
        step: &'static str,
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
            Self::Invalid(_) | Self::Impossible { .. } => Code::Invalid,
            Self::SlugTaken | Self::NoSuchStep(_) => Code::Conflict,
            Self::NotFound => Code::NotFound,
            Self::Stale => Code::Stale,
            Self::Denied(error) => error.code(),
            Self::Unfinished { .. } => Code::Unavailable,
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
            Self::Invalid(_) | Self::NotFound | Self::Stale => None,
        }
    }

    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
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
            Self::Unfinished { .. } => Some(5),
            Self::Store(error) => error.retry_after_s(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
