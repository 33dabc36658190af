//! Room `identity`: what a role of a tenant's own gives whom, and which version policies have.

use std::collections::HashMap;

use misy_core::{Grants, Permission, Role};
use uuid::Uuid;

/// Of whom or what an effect is told; the version of policies has a statement of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A person, beside what their built-in role gives.
    User,
    /// An API key with a role of the tenant's own.
    Key,
    /// A service account.
    Account,
}

impl Kind {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Key => "key",
            Self::Account => "account",
        }
    }
}

/// What a role comes to: a built-in role, which may learn to do more with a new program, and what
/// is granted on top of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Effect {
    pub(crate) base: Option<Role>,
    pub(crate) permissions: Vec<Permission>,
}

impl Effect {
    pub(crate) fn grants(&self) -> Grants {
        let base = self.base.map_or(Grants::NONE, Role::grants);
        base.union(self.permissions.iter().copied().collect())
    }

    /// Reads the two columns. A permission that this program does not know (a newer one wrote it)
    /// gives nothing.
    pub(crate) fn from_columns(base: Option<&str>, permissions: &[String]) -> Self {
        Self {
            base: base.and_then(|slug| slug.parse().ok()),
            permissions: permissions.iter().filter_map(|slug| slug.parse().ok()).collect(),
        }
    }
}

/// One row, as every process follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) tenant: Uuid,
    pub(crate) subject: Uuid,
    pub(crate) effect: Effect,
    pub(crate) version: i64,
    pub(crate) keys: i64,
}

/// What is known of a person, or of a tenant as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Entry {
    grants: Grants,
    policies: i64,
    keys: i64,
}

/// All that is known, by tenant and subject: people with roles of a tenant's own, and tenants with
/// policies or with keys that changed. What one tenant says of a subject of another is never found.
#[derive(Debug, Default)]
pub(crate) struct Known(HashMap<(Uuid, Uuid), Entry>);

impl Known {
    /// Learns; a later row of a subject replaces an earlier one.
    pub(crate) fn learn(&mut self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            let Notice { tenant, subject, effect, version: policies, keys } = notice;
            let entry = Entry { grants: effect.grants(), policies, keys };
            if entry == Entry::default() {
                self.0.remove(&(tenant, subject));
            } else {
                self.0.insert((tenant, subject), entry);
            }
        }
    }

    /// What the subject may do beside what its built-in role gives.
    pub(crate) fn grants(&self, tenant: Uuid, subject: Uuid) -> Grants {
        self.0.get(&(tenant, subject)).map_or(Grants::NONE, |entry| entry.grants)
    }

    /// Which version the tenant's policies have; 0 if it never had any.
    pub(crate) fn version(&self, tenant: Uuid) -> i64 {
        self.0.get(&(tenant, tenant)).map_or(0, |entry| entry.policies)
    }

    /// How often a key of the tenant was told to be another than before.
    pub(crate) fn keys(&self, tenant: Uuid) -> i64 {
        self.0.get(&(tenant, tenant)).map_or(0, |entry| entry.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(subject: u128, permissions: &[Permission], version: i64) -> Notice {
        let effect = Effect { base: None, permissions: permissions.to_vec() };
        let (tenant, subject) = (Uuid::from_u128(2), Uuid::from_u128(subject));
        Notice { tenant, subject, effect, version, keys: 0 }
    }

    #[test]
    fn what_was_learned_last_holds_and_nothing_is_forgotten_as_nothing() {
        let mut known = Known::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        known.learn([notice(1, &[Permission::RoleRead], 0), notice(2, &[], 4)]);
        assert!(known.grants(two, one).has(Permission::RoleRead));
        assert_eq!(known.grants(one, one), Grants::NONE, "another tenant says nothing of it");
        assert_eq!((known.version(one), known.version(two)), (0, 4));
        let changed = Notice { keys: 3, ..notice(2, &[], 4) };
        known.learn([changed]);
        assert_eq!((known.version(two), known.keys(two), known.keys(one)), (4, 3, 0));
        known.learn([notice(1, &[], 0), notice(2, &[], 5)]);
        assert_eq!((known.grants(two, one), known.version(two)), (Grants::NONE, 5));
        assert_eq!(known.0.len(), 1);
    }

    #[test]
    fn a_permission_of_a_newer_program_gives_nothing_and_a_base_gives_all_it_has() {
        let columns = ["role.read".to_owned(), "spaceship.launch".to_owned()];
        let effect = Effect::from_columns(Some("viewer"), &columns);
        assert_eq!(effect.grants(), Role::Viewer.grants());
        let none = Effect::from_columns(None, &["spaceship.launch".to_owned()]);
        assert_eq!(none.grants(), Grants::NONE);
    }
}
