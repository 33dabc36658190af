//! Room `store`: proof that tenants are apart, generated from the catalog of a migrated database.

mod behaviour;
mod catalog;
mod ledger;
mod mutations;
mod rules;

/// Tables that hold no tenant's content, and the column that names the tenant where a tenant's
/// role may touch them. Whatever is not listed here is a tenant table and must be protected like
/// one.
pub(crate) const CONTROL: [(&str, Option<&str>); 20] = [
    ("accounts", None),
    ("api_key_routes", Some("tenant_id")),
    ("channel_routes", Some("tenant_id")),
    ("credentials", Some("realm")),
    ("dead_letters", Some("tenant_id")),
    ("jobs", Some("tenant_id")),
    ("memberships", Some("tenant_id")),
    ("operators", None),
    ("plans", None),
    ("platform_audit_records", None),
    ("platform_idempotency_keys", None),
    ("provisionings", None),
    ("realms", Some("tenant_id")),
    ("refresh_tokens", None),
    ("revocations", Some("tenant_id")),
    ("schedules", None),
    ("schema_migrations", None),
    ("sessions", None),
    ("signing_keys", None),
    ("tenants", Some("id")),
];

/// Tenant tables on which the tenant's role may do less than all: name and what it may.
pub(crate) const RESTRICTED: [(&str, &[&str]); 1] = [("audit_records", &["INSERT", "SELECT"])];

/// Functions that run with their owner's rights. Each was read for what it lets a tenant learn.
pub(crate) const DEFINERS: [&str; 1] = ["misy_account_of"];
