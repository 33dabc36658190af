//! Room `tenancy`: what a tenant is, which names are good ones, which status follows which.

use misy_core::error::Fault;
use misy_core::{Code, Personal, Public, Secret, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

/// Slugs that are or may become addresses of the platform's own.
const RESERVED: &[&str] = &[
    "about",
    "account",
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "billing",
    "blog",
    "cdn",
    "dashboard",
    "docs",
    "healthz",
    "help",
    "hooks",
    "internal",
    "login",
    "mail",
    "metrics",
    "misy",
    "misybot",
    "platform",
    "public",
    "readyz",
    "root",
    "sandbox",
    "scim",
    "security",
    "signup",
    "static",
    "status",
    "support",
    "system",
    "test",
    "widget",
    "www",
];

fn fault(faults: &mut Vec<Fault>, pointer: &str, rule: Result<(), &'static str>) {
    if let Err(detail) = rule {
        faults.push(Fault { pointer: pointer.to_owned(), detail: detail.to_owned() });
    }
}

/// Every fault of a new tenant's own fields.
pub fn check_new(new: &NewTenant) -> Vec<Fault> {
    let mut faults = Vec::new();
    fault(&mut faults, "/slug", check_slug(&new.slug));
    fault(&mut faults, "/name", check_text(&new.name));
    fault(&mut faults, "/owner/name", check_text(&new.owner.name.0));
    fault(&mut faults, "/locale", check_locale(&new.locale));
    fault(&mut faults, "/time_zone", check_time_zone(&new.time_zone));
    fault(&mut faults, "/business", check_business(&new.business));
    for (index, origin) in new.allowed_origins.iter().enumerate() {
        fault(&mut faults, &format!("/allowed_origins/{index}"), check_origin(origin));
    }
    faults
}

/// Every fault of what is changed; what stays is not looked at, for the rules may have changed.
pub fn check_change(change: &Change) -> Vec<Fault> {
    let mut faults = Vec::new();
    let holds = |rule: Option<Result<(), &'static str>>| rule.unwrap_or(Ok(()));
    fault(&mut faults, "/name", holds(change.name.as_deref().map(check_text)));
    fault(&mut faults, "/locale", holds(change.locale.as_deref().map(check_locale)));
    fault(&mut faults, "/time_zone", holds(change.time_zone.as_deref().map(check_time_zone)));
    fault(&mut faults, "/business", holds(change.business.as_ref().map(check_business)));
    for (index, origin) in change.allowed_origins.iter().flatten().enumerate() {
        fault(&mut faults, &format!("/allowed_origins/{index}"), check_origin(origin));
    }
    faults
}

/// Slugs are host labels (RFC 1123) of 2 to 63 ASCII characters, so that none can look like another in
/// a foreign script, and none is an encoded one (`xn--`).
pub fn check_slug(slug: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if !(2..=63).contains(&slug.len()) || !slug.bytes().all(plain) {
        return Err("expected 2 to 63 characters of a-z, 0-9 and hyphens");
    }
    if slug.starts_with('-') || slug.ends_with('-') || slug.contains("--") {
        return Err("hyphens stand only between other characters, one at a time");
    }
    if RESERVED.contains(&slug) {
        return Err("this name is reserved; choose another");
    }
    Ok(())
}

/// A name for people: no line breaks and nothing that cannot be seen or stored.
pub fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("expected some text");
    }
    if text.chars().any(char::is_control) {
        return Err("expected text without control characters");
    }
    Ok(())
}

/// An IANA time zone.
pub fn check_time_zone(name: &str) -> Result<(), &'static str> {
    let found = jiff::tz::TimeZone::get(name);
    found.map(drop).map_err(|_| "expected an IANA time zone such as `Europe/Berlin`")
}

/// What a business says of itself: 16 KiB of JSON, without the character that PostgreSQL cannot hold.
pub fn check_business(business: &Map<String, Value>) -> Result<(), &'static str> {
    const LIMIT_BYTES: usize = 16 << 10;
    let text = Value::Object(business.clone()).to_string();
    if text.len() > LIMIT_BYTES {
        return Err("expected at most 16 KiB of JSON");
    }
    // In JSON the character is this escape; an escaped backslash before `u0000` means no such thing.
    if text.replace(r"\\", "").contains(r"\u0000") {
        return Err("expected text without the character U+0000");
    }
    Ok(())
}

/// `language[-script][-region]` of BCP 47.
pub fn check_locale(locale: &str) -> Result<(), &'static str> {
    let mut parts = locale.split('-');
    let language = parts.next().is_some_and(|part| {
        (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase())
    });
    let good = language
        && parts.clone().count() <= 2
        && parts.all(|part| {
            (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    if good { Ok(()) } else { Err("expected a language tag such as `en` or `de-DE`") }
}

/// A browser's `Origin` (RFC 6454): scheme, host and port, in lower case as browsers send it.
pub fn check_origin(origin: &str) -> Result<(), &'static str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let good = rest.is_some_and(|host| {
        let known =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b".-:[]".contains(&byte);
        !host.is_empty() && host.len() <= 253 && host.bytes().all(known)
    });
    if good {
        return Ok(());
    }
    Err("expected an origin such as `https://www.example.com`, in lower case and without a path")
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
