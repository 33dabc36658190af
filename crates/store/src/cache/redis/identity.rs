//! Room `store`: who a tenant is in Redis: its user, what that may do, and where its keys are.

use std::sync::atomic::{AtomicU64, Ordering};

use misy_core::id::TypedId;
use misy_core::{Secret, TenantId};
use redis::Cmd;
use uuid::Uuid;

use super::share::Share;
use crate::cache::{CachePasswords, Space};

/// What the names of tenants' users begin with.
const USERS: &str = "misy_t_";

/// All that a tenant's user may do: what the handle and its scripts do. A list of commands and not
/// of categories: the next version of Redis adds commands to categories, and nobody asks us.
const MAY: [&str; 16] = [
    "+get",
    "+set",
    "+del",
    "+exists",
    "+incrby",
    "+evalsha",
    "+time",
    "+hget",
    "+hset",
    "+hdel",
    "+hlen",
    "+hincrby",
    "+zadd",
    "+zrem",
    "+zrange",
    "+zrangebyscore",
];

/// A tenant in Redis.
pub(in crate::cache) struct Identity {
    tenant: TenantId,
    user: String,
    password: Secret,
    prefix: String,
    sign_in: Cmd,
    /// For which start of the server the user is known to be there.
    made_for: AtomicU64,
    share: Share,
}

impl Identity {
    pub(super) fn new(tenant: TenantId, passwords: &CachePasswords, share: Share) -> Self {
        let (user, password) = (user_name(tenant), passwords.of(tenant));
        let mut sign_in = redis::cmd("AUTH");
        sign_in.arg(&user).arg(password.expose());
        let prefix = key_prefix(tenant);
        Self { tenant, user, password, prefix, sign_in, made_for: AtomicU64::new(0), share }
    }

    /// What the tenant may have under way.
    pub(super) fn share(&self) -> &Share {
        &self.share
    }

    /// A key of the tenant. The braces keep all of them on one slot of a cluster
    /// (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags>).
    pub(super) fn key(&self, name: &str) -> String {
        [&self.prefix, name].concat()
    }

    pub(in crate::cache) fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(super) fn sign_in(&self) -> Cmd {
        self.sign_in.clone()
    }

    /// Makes the user, or gives an existing one exactly these rights.
    pub(super) fn make(&self) -> Cmd {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg(&self.user).arg("reset").arg("on");
        command.arg(format!(">{}", self.password.expose()));
        for rule in user_rules(self.tenant) {
            command.arg(rule);
        }
        command
    }

    /// Removes the user; connections that it has are closed by Redis.
    pub(super) fn unmake(&self) -> Cmd {
        let mut command = redis::cmd("ACL");
        command.arg("DELUSER").arg(&self.user);
        command
    }

    pub(super) fn is_made(&self, server: u64) -> bool {
        self.made_for.load(Ordering::Acquire) == server
    }

    pub(super) fn set_made(&self, server: u64) {
        self.made_for.store(server, Ordering::Release);
    }
}

/// What every key and channel of a tenant begins with.
pub fn key_prefix(tenant: TenantId) -> String {
    format!("t:{{{}}}:", tenant.uuid().hyphenated())
}

/// The rights of a tenant's user beside being on and having a password.
pub fn user_rules(tenant: TenantId) -> Vec<String> {
    let keys = format!("~{}*", key_prefix(tenant));
    let fixed = ["resetchannels", "-@all"].into_iter().chain(MAY);
    std::iter::once(keys).chain(fixed.map(str::to_owned)).collect()
}

/// The tenant's user.
pub fn user_name(tenant: TenantId) -> String {
    format!("{USERS}{}", tenant.uuid().hyphenated())
}

/// Whose user this is; `None` if it is none of ours.
pub(super) fn tenant_of(user: &str) -> Option<TenantId> {
    let id = user.strip_prefix(USERS)?.parse::<Uuid>().ok()?;
    Some(TenantId::from_uuid(id))
}

/// The name of a value in its tenant's account.
pub(super) fn name(space: Space, key: &str) -> String {
    [space.name(), ":", key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_leads_back_to_its_tenant_and_no_other_name_does() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        let passwords = CachePasswords::derive(&misy_core::crypto::Key::new([1; 32]));
        let who = Identity::new(tenant, &passwords, Share::new(1, 1));
        assert_eq!(tenant_of(&who.user), Some(tenant));
        assert_eq!(tenant_of("misy_t_x"), None);
        assert_eq!(tenant_of("default"), None);
    }

    #[test]
    fn a_prefix_holds_no_character_that_a_pattern_of_redis_gives_a_meaning() {
        let prefix = key_prefix(TenantId::from_uuid(Uuid::from_u128(u128::MAX)));
        assert!(!prefix.contains(['*', '?', '[', ']', '\\', '^']), "{prefix}");
    }
}
