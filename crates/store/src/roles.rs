//! Room `store`: the database roles and their passwords.
//!
//! `misy_owner` owns the tables and cannot sign in, `misy_tenant` sees one tenant's rows at a time,
//! `misy_platform` sees control tables and no tenant's content. `misy_search` cannot sign in; the
//! functions that search by words run as it, and it sees ids and words alone. `misy_gateway` cannot
//! either; the function that stores deliveries runs as it, and it may add payloads and read none.

use misy_core::Secret;
use misy_core::crypto::{self, Key};

/// A role that the program signs in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbRole {
    /// Works inside one tenant.
    Tenant,
    /// Works across tenants, on control tables.
    Platform,
}

impl DbRole {
    /// Both, in the order in which migrations make them.
    pub const ALL: [Self; 2] = [Self::Tenant, Self::Platform];

    /// Its name in PostgreSQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "misy_tenant",
            Self::Platform => "misy_platform",
        }
    }

    /// What its connections are called in metrics.
    pub(crate) const fn pool(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Platform => "platform",
        }
    }
}

/// What the comment on a role of an installation begins with.
pub(crate) const MARK: &str = "MisyBot installation ";

/// The passwords of the login roles, derived from the root key: nothing to configure, nothing to
/// store, and a copy of the database alone lets nobody in.
#[derive(Debug, Clone)]
pub struct RolePasswords(Key);

impl RolePasswords {
    /// Derives from the installation's root key.
    pub fn derive(root: &Key) -> Self {
        Self(root.derive("database-roles"))
    }

    /// By what an installation is told from others on the same server: the beginning of what its
    /// roles are commented with. Says nothing of the passwords.
    pub fn mark(&self) -> String {
        format!("{MARK}{}", crypto::to_hex(&self.0.derive("installation").expose()[..8]))
    }

    /// The password of one role, 64 hexadecimal digits.
    pub fn of(&self, role: DbRole) -> Secret {
        Secret::new(crypto::to_hex(self.0.derive(role.name()).expose()))
    }
}
