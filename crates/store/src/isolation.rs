//! Room `store`: what must hold of a database so that its tenants are apart, looked up in its
//! catalog. Reads only. A start asks [`ensure`], which refuses a database that breaks a rule;
//! `misybot doctor` prints the whole [`Report`]; the tests prove on a migrated database that every
//! rule holds and that the loss of every wall is noticed.

mod catalog;
mod probe;
mod rules;

use std::fmt;
use std::time::Duration;

use tokio_postgres::{Client, Config};

use crate::embedded::Version;
use crate::pools::sign_in;
use crate::roles::{DbRole, RolePasswords};
use crate::{Error, tls};

pub use catalog::{
    Catalog, Column, ForeignKey, Function, Grant, Index, Policy, Relation, Role, Session,
};
pub use probe::{Probe, probe};

/// Tables that hold no tenant's content, and the column that names the tenant where a tenant's
/// role may touch them. Whatever is not listed here is a tenant table and must be protected like
/// one.
pub const CONTROL: [(&str, Option<&str>); 39] = [
    ("access_notices", Some("tenant_id")),
    ("accounts", None),
    ("api_key_routes", Some("tenant_id")),
    ("channel_routes", Some("tenant_id")),
    ("credentials", Some("realm")),
    ("dead_letters", Some("tenant_id")),
    ("domain_routes", Some("tenant_id")),
    ("jobs", Some("tenant_id")),
    ("letters", Some("tenant_id")),
    ("memberships", Some("tenant_id")),
    ("onboarding_workflows", None),
    ("operators", None),
    ("parcels", Some("tenant_id")),
    ("plan_changes", None),
    ("plan_versions", None),
    ("plans", None),
    ("platform_audit_records", None),
    ("platform_idempotency_keys", None),
    ("provisionings", None),
    ("realms", Some("tenant_id")),
    ("recovery_codes", Some("realm")),
    ("refresh_tokens", None),
    ("revocations", Some("tenant_id")),
    ("saga_steps", Some("tenant_id")),
    ("sagas", Some("tenant_id")),
    ("schedules", None),
    ("schema_migrations", None),
    ("second_factor_rules", Some("tenant_id")),
    ("second_factors", Some("realm")),
    ("session_reaches", None),
    ("sessions", None),
    ("sign_in_challenges", None),
    ("signing_keys", None),
    ("signups", None),
    ("source_routes", Some("tenant_id")),
    ("sso_routes", Some("tenant_id")),
    ("tenant_rates", Some("tenant_id")),
    ("tenants", Some("id")),
    ("tombstones", None),
];

/// Tenant tables on which the tenant's role may do less than all: name and what it may.
pub const RESTRICTED: [(&str, &[&str]); 2] =
    [("audit_records", &["INSERT", "SELECT"]), ("decisions", &["DELETE", "INSERT", "SELECT"])];

/// Functions that run with their owner's rights: name, owner, and the SHA-256 of arguments and body
/// as they were read in review, so that another body under the same name is noticed.
pub const DEFINERS: [Definer; 7] = [
    Definer {
        name: "misy_account_of",
        owner: "misy_owner",
        caller: "misy_tenant",
        digest: "dce5304d98d377f9670cc88e02476d4355d09e2964b221d758a84e8b7b9f06f8",
    },
    Definer {
        name: "misy_find_knowledge",
        owner: "misy_search",
        caller: "misy_tenant",
        digest: "d465b860cd91bbd5b4d46e4691aff433c7683fe67fb74508fc4bd078f5049607",
    },
    Definer {
        name: "misy_find_messages",
        owner: "misy_search",
        caller: "misy_tenant",
        digest: "b54809f91dc0f14fd8468ffca6c6f7a10a7bbb4ebcae49bd5bc8fbee1a987bc3",
    },
    Definer {
        name: "misy_find_passages",
        owner: "misy_search",
        caller: "misy_tenant",
        digest: "af5b2dcbc5706f46b1a12fac5830770e2044a82f6f71de69a98b04897769bf37",
    },
    Definer {
        name: "misy_find_waiting",
        owner: "misy_gateway",
        caller: "misy_platform",
        digest: "3df7b5334a09939cf288eaa9ce714504e986bd2137cf7ccd2267c89395cb8bd2",
    },
    Definer {
        name: "misy_keep_payloads",
        owner: "misy_gateway",
        caller: "misy_platform",
        digest: "3a39cd396e7d529f503b7a522be5880336e4479fa86f8db3a611785b198b6680",
    },
    Definer {
        name: "misy_keep_webhook_days",
        owner: "misy_owner",
        caller: "misy_platform",
        digest: "f214f44aac03f2cc0a8178f7b4c98e890d3083186b9da8e2acf165feead2dcbc",
    },
];

/// Tenant tables on which a role that runs reviewed functions may do something for all tenants.
pub const LENT: [Lent; 4] = [
    Lent {
        table: "inbox",
        role: "misy_gateway",
        rights: &[
            "INSERT (body, channel_id, digest, id, received_at, tenant_id)",
            "SELECT (channel_id, due_at, id, received_at, state, tenant_id)",
        ],
        policies: &[("gateway_adds", "a"), ("gateway_sees", "r")],
    },
    Lent {
        table: "knowledge_entries",
        role: "misy_search",
        rights: &["SELECT (id, tenant_id, words)"],
        policies: &[("search_reads", "r")],
    },
    Lent {
        table: "knowledge_passages",
        role: "misy_search",
        rights: &["SELECT (id, tenant_id, words)"],
        policies: &[("search_reads", "r")],
    },
    Lent {
        table: "messages",
        role: "misy_search",
        rights: &["SELECT (id, tenant_id, words)"],
        policies: &[("search_reads", "r")],
    },
];

/// What a role that cannot sign in may do on a tenant table, whosever rows they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lent {
    /// The tenant table.
    pub table: &'static str,
    /// The role, which owns functions of [`DEFINERS`] and nothing else.
    pub role: &'static str,
    /// Its rights, by column.
    pub rights: &'static [&'static str],
    /// The policies that let it, each with its command as the catalog writes it.
    pub policies: &'static [(&'static str, &'static str)],
}

/// The only search path a function with its owner's rights may have. `pg_temp` comes last: where it
/// is not named it comes first, and a temporary table of the caller would stand in for ours.
pub const PINNED_PATH: &str = "search_path=pg_catalog, public, pg_temp";

/// A function that runs with its owner's rights and was reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definer {
    /// Its name.
    pub name: &'static str,
    /// Whose rights it has.
    pub owner: &'static str,
    /// Who alone may call it.
    pub caller: &'static str,
    /// SHA-256 of its arguments and body, in hexadecimal digits.
    pub digest: &'static str,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What breaks it: a table, a function, a role.
    pub subject: String,
    /// What is wrong with it.
    pub broken: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether a start must be refused.
    pub weight: Weight,
}

/// How much a fault weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// A tenant could reach what is not its own: nothing may start.
    Opens,
    /// A second wall is missing, or something that no tenant reaches is not as the program made it.
    Weakens,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.broken, self.remedy)
    }
}

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    /// The catalog that was judged.
    pub catalog: Catalog,
    /// All that is wrong; empty if tenants are apart.
    pub faults: Vec<Fault>,
    /// How long the look took.
    pub elapsed: Duration,
}

impl Report {
    /// The server's version.
    pub fn server(&self) -> Version {
        self.catalog.session.server()
    }

    fn refusal(&self) -> Option<Refusal> {
        let opens = self.faults.iter().filter(|fault| fault.weight == Weight::Opens);
        let faults: Vec<Fault> = opens.cloned().collect();
        (!faults.is_empty()).then_some(Refusal(faults))
    }
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub struct Refusal(Vec<Fault>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database does not keep tenants apart, so nothing was started:")?;
        for fault in &self.0 {
            write!(f, "\n  - {fault}")?;
        }
        f.write_str("\n`misybot doctor` prints the whole report")
    }
}

/// Why a database was not found to keep tenants apart.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// It could not be looked at.
    #[error("the database cannot be inspected")]
    Store(#[from] Error),
    /// It breaks a rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Everything that is wrong with a database; empty if its tenants are apart.
pub fn faults(catalog: &Catalog) -> Vec<Fault> {
    rules::faults(catalog)
}

/// Looks at the database as `misy_tenant` sees it, on a connection of its own and by one
/// statement. `server` is what the pools are opened with.
pub async fn inspect(server: &Config, passwords: &RolePasswords) -> Result<Report, Error> {
    let begun = std::time::Instant::now();
    let catalog = as_tenants_role(server, passwords, async |client| {
        client.batch_execute("begin read only; set local search_path = public").await?;
        let catalog = Catalog::read(client).await?;
        client.batch_execute("commit").await?;
        Ok(catalog)
    })
    .await?;
    let mut faults = rules::of_session(&catalog.session);
    faults.extend(rules::faults(&catalog));
    Ok(Report { catalog, faults, elapsed: begun.elapsed() })
}

/// Refuses a database in which a tenant could reach what is not its own.
pub async fn ensure(server: &Config, passwords: &RolePasswords) -> Result<Report, EnsureError> {
    let report = inspect(server, passwords).await?;
    match report.refusal() {
        Some(refusal) => Err(refusal.into()),
        None => Ok(report),
    }
}

/// Lends a connection of `misy_tenant` outside the pools for as long as the work takes.
async fn as_tenants_role<T>(
    server: &Config,
    passwords: &RolePasswords,
    work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let config = sign_in(server, passwords, DbRole::Tenant);
    let (client, connection) =
        tls::connect(&config).await.map_err(|error| Error::Unavailable(Box::new(error)))?;
    let driver = async { connection.await.map_err(Error::from) };
    let work = async move { work(&client).await };
    let (done, ()) = futures_util::try_join!(work, driver)?;
    Ok(done)
}
