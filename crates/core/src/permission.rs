//! Room `core`: what may be done, and which built-in role may do it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $least:ident;)*) => {
        /// One thing that may be done. Each HTTP operation names exactly one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])* $name,)*
        }

        impl Permission {
            /// Every permission there is, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire, for example `message.send`.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$name => $slug,)*
                }
            }

            /// The lowest built-in role that has it; every higher role inherits it.
            pub const fn least_role(self) -> Role {
                match self {
                    $(Self::$name => Role::$least,)*
                }
            }
        }
    };
}

permissions! {
    /// See the tenant's own settings and usage.
    TenantRead = "tenant.read", Viewer;
    /// Change the tenant's own settings.
    TenantUpdate = "tenant.update", Admin;
    /// List the people of the tenant.
    UserRead = "user.read", Agent;
    /// Invite, change and disable people.
    UserManage = "user.manage", Admin;
    /// Make somebody an owner, change or remove an owner.
    OwnerManage = "owner.manage", Owner;
    /// List roles and what they grant.
    RoleRead = "role.read", Viewer;
    /// Make and change the tenant's own roles.
    RoleManage = "role.manage", Admin;
    /// List API keys (never their secrets).
    ApiKeyRead = "api_key.read", Admin;
    /// Make and revoke API keys.
    ApiKeyManage = "api_key.manage", Admin;
    /// List channel accounts (never their credentials).
    ChannelRead = "channel.read", Agent;
    /// Connect, change and remove channel accounts.
    ChannelManage = "channel.manage", Admin;
    /// See contacts and their identities.
    ContactRead = "contact.read", Viewer;
    /// Change contacts.
    ContactUpdate = "contact.update", Agent;
    /// See conversations.
    ConversationRead = "conversation.read", Viewer;
    /// Change status, assignment and context of conversations.
    ConversationUpdate = "conversation.update", Agent;
    /// Read messages.
    MessageRead = "message.read", Viewer;
    /// Send messages to customers.
    MessageSend = "message.send", Agent;
    /// Read knowledge entries.
    KnowledgeRead = "knowledge.read", Viewer;
    /// Write knowledge entries, which the responder answers from.
    KnowledgeManage = "knowledge.manage", Supervisor;
    /// Read the tenant's audit log.
    AuditRead = "audit.read", Admin;
    /// See jobs that gave up.
    DeadLetterRead = "dead_letter.read", Supervisor;
    /// Run such a job again.
    DeadLetterReplay = "dead_letter.replay", Admin;
    /// Keep people and groups as a directory says (SCIM); never owners.
    ScimManage = "scim.manage", Admin;
    /// See webhook endpoints, events and deliveries (never signing secrets).
    WebhookRead = "webhook.read", Supervisor;
    /// Make, change and test webhook endpoints, repeat deliveries.
    WebhookManage = "webhook.manage", Admin;
    /// Publish events of the tenant's own.
    EventPublish = "event.publish", Admin;
    /// Platform: see every tenant's control data (never its content).
    PlatformTenantRead = "platform.tenant.read", Operator;
    /// Platform: create, change and stop tenants.
    PlatformTenantManage = "platform.tenant.manage", Operator;
    /// See connections to identity providers (never their secrets) and domains.
    SsoRead = "sso.read", Admin;
    /// Connect, change and test identity providers, add and verify domains.
    SsoManage = "sso.manage", Admin;
    /// See which operators have acted inside the tenant, and why.
    ImpersonationRead = "impersonation.read", Admin;
    /// End an operator's visit to the tenant.
    ImpersonationEnd = "impersonation.end", Owner;
    /// Platform: act inside a tenant for a limited time and with a reason.
    PlatformImpersonate = "platform.impersonate", Operator;
    /// Platform: look around inside a tenant for a limited time and with a reason.
    PlatformImpersonateRead = "platform.impersonate.read", Operator;
    /// See the tenant's policies and ask who may do what, and why.
    PolicyRead = "policy.read", Admin;
    /// Make and change the tenant's policies.
    PolicyManage = "policy.manage", Admin;
    /// Have the decision API decide for the tenant's own applications.
    AccessEvaluate = "access.evaluate", Admin;
    /// Platform: see who runs the platform.
    PlatformPeopleRead = "platform.people.read", Operator;
    /// Platform: add, change and disable the people who run it.
    PlatformPeopleManage = "platform.people.manage", Operator;
    /// Take along all that is kept of the tenant.
    TenantExport = "tenant.export", Owner;
}

impl Permission {
    const fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// A text that names no permission or role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such {0}")]
pub struct Unknown(&'static str);

impl FromStr for Permission {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.iter().copied().find(|one| one.slug() == text).ok_or(Unknown("permission"))
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.slug())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl utoipa::PartialSchema for Permission {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(Self::ALL.iter().map(|one| one.slug())))
            .into()
    }
}
impl utoipa::ToSchema for Permission {}

/// The built-in roles, lowest first. Each has everything that the ones below it have. The roles of
/// the platform stand apart: they act inside no tenant, and neither has what another has not got
/// by its own list.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks, changes nothing.
    Viewer,
    /// Talks with customers.
    Agent,
    /// Leads agents and keeps the knowledge.
    Supervisor,
    /// Runs the tenant.
    Admin,
    /// Owns the tenant.
    Owner,
    /// Runs the platform.
    Operator,
    /// Helps tenants: sees control data, changes nothing.
    Support,
    /// Examines the platform: sees control data and who runs it, changes nothing.
    Auditor,
}

/// What support may do on the platform.
const SUPPORT: [Permission; 1] = [Permission::PlatformTenantRead];
/// What an auditor may do on the platform.
const AUDITOR: [Permission; 2] = [Permission::PlatformTenantRead, Permission::PlatformPeopleRead];

impl Role {
    /// The roles that a person or key of a tenant may have.
    pub const OF_TENANT: [Self; 5] =
        [Self::Viewer, Self::Agent, Self::Supervisor, Self::Admin, Self::Owner];

    /// The roles that a person who runs the platform may have.
    pub const OF_PLATFORM: [Self; 3] = [Self::Operator, Self::Support, Self::Auditor];

    /// The name on the wire.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Support => "support",
            Self::Auditor => "auditor",
        }
    }

    /// Everything the role may do, its own and what it inherits.
    pub fn grants(self) -> Grants {
        Permission::ALL.iter().copied().filter(|one| self.has(*one)).collect()
    }

    fn has(self, permission: Permission) -> bool {
        let least = permission.least_role();
        match self {
            Self::Operator => least == Self::Operator,
            Self::Support => SUPPORT.contains(&permission),
            Self::Auditor => AUDITOR.contains(&permission),
            _ => least <= self,
        }
    }
}

impl FromStr for Role {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        let all = Self::OF_TENANT.into_iter().chain(Self::OF_PLATFORM);
        all.into_iter().find(|role| role.slug() == text).ok_or(Unknown("role"))
    }
}

/// A set of permissions; a check is one `and`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants(u64);

impl Grants {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether the permission is in the set.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether every permission of the other set is in this one too.
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in both.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those of them that only look.
    #[must_use]
    pub fn reading(self) -> Self {
        self.iter().filter(|one| one.slug().rsplit('.').next() == Some("read")).collect()
    }

    /// What is in one of them.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The permissions in the order of the reference.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |one| self.has(*one))
    }
}

impl FromIterator<Permission> for Grants {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, one| bits | one.bit()))
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Grants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Permission>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_all_that_the_one_below_has() {
        for pair in Role::OF_TENANT.windows(2) {
            assert!(pair[1].grants().covers(pair[0].grants()), "{pair:?}");
        }
    }

    #[test]
    fn operators_and_tenant_roles_share_nothing() {
        for role in Role::OF_TENANT {
            for staff in Role::OF_PLATFORM {
                assert_eq!(role.grants().intersect(staff.grants()), Grants::NONE);
            }
        }
    }

    #[test]
    fn support_and_auditors_have_less_than_operators_and_change_nothing() {
        let reads = |role: Role| {
            role.grants()
                .iter()
                .all(|one| one.slug().rsplit_once('.').is_some_and(|(_, verb)| verb == "read"))
        };
        for staff in [Role::Support, Role::Auditor] {
            assert!(Role::Operator.grants().covers(staff.grants()) && reads(staff), "{staff:?}");
            assert_ne!(staff.grants(), Grants::NONE);
        }
        assert!(!Role::Support.grants().has(Permission::PlatformPeopleRead));
        assert!(!reads(Role::Operator));
    }

    #[test]
    fn every_role_reads_back_and_every_permission_is_somebodys() {
        for role in Role::OF_TENANT.into_iter().chain(Role::OF_PLATFORM) {
            assert_eq!(role.slug().parse(), Ok(role));
        }
        let all = Role::Owner.grants().union(Role::Operator.grants());
        assert_eq!(all.iter().count(), Permission::ALL.len());
        assert_eq!(all.without(Role::Owner.grants()), Role::Operator.grants());
    }

    #[test]
    fn slugs_are_unique_and_read_back() {
        for one in Permission::ALL {
            assert_eq!(one.slug().parse(), Ok(*one));
        }
        assert!(Permission::ALL.len() <= 64, "Grants is 64 bits wide");
    }

    #[test]
    fn an_agent_sends_and_does_not_manage() {
        let agent = Role::Agent.grants();
        assert!(agent.has(Permission::MessageSend));
        assert!(!agent.has(Permission::UserManage));
    }
}
