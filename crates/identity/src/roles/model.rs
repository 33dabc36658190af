//! Room `identity`: a tenant's roles, and who may give which.

use misy_core::{Code, Grants, Permission, Public, Role, RoleId};

/// A role of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantRole {
    pub(crate) id: RoleId,
    /// What users and keys refer to; it never changes.
    pub(crate) slug: String,
    /// The name as people read it.
    pub(crate) name: String,
    /// The slug of the role it inherits from.
    pub(crate) parent: Option<String>,
    /// What a role of the tenant's own grants.
    pub(crate) own: Vec<Permission>,
    /// Whether it is one of those that every tenant has.
    pub(crate) built_in: bool,
}

impl TenantRole {
    /// Everything it grants. What a built-in role grants is in the program, so that a new
    /// permission needs no change of data.
    pub(crate) fn grants(&self) -> Grants {
        match self.slug.parse::<Role>() {
            Ok(role) if self.built_in => role.grants(),
            _ => self.own.iter().copied().collect(),
        }
    }
}

/// The name of a built-in role as people read it.
pub(crate) fn title(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer",
        Role::Agent => "Agent",
        Role::Supervisor => "Supervisor",
        Role::Admin => "Administrator",
        Role::Owner => "Owner",
        Role::Operator => "Operator",
    }
}

/// The built-in role that a role inherits from.
pub(crate) fn parent(role: Role) -> Option<Role> {
    let at = Role::OF_TENANT.iter().position(|one| *one == role)?;
    at.checked_sub(1).map(|below| Role::OF_TENANT[below])
}

/// Somebody tries to hand out or to take away more than they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it grants more than the actor has")]
pub struct Beyond;

impl Public for Beyond {
    fn code(&self) -> Code {
        Code::PermissionDenied
    }
    fn detail(&self) -> Option<String> {
        Some("Nobody can give, change or take away more than they may do themselves.".to_owned())
    }
}

/// Refuses unless the actor has everything that is handed out.
pub(crate) fn within(actor: Grants, handed_out: Grants) -> Result<(), Beyond> {
    if actor.covers(handed_out) { Ok(()) } else { Err(Beyond) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_inherits_from_the_one_below() {
        let line: Vec<_> = Role::OF_TENANT.iter().map(|role| parent(*role)).collect();
        let expected = [
            None,
            Some(Role::Viewer),
            Some(Role::Agent),
            Some(Role::Supervisor),
            Some(Role::Admin),
        ];
        assert_eq!(line, expected);
        assert_eq!(parent(Role::Operator), None);
    }

    #[test]
    fn nobody_hands_out_more_than_they_have() {
        for actor in Role::OF_TENANT {
            for role in Role::OF_TENANT {
                let allowed = within(actor.grants(), role.grants()).is_ok();
                assert_eq!(allowed, actor.grants().covers(role.grants()), "{actor:?} {role:?}");
            }
            assert_eq!(within(actor.grants(), Role::Operator.grants()), Err(Beyond));
        }
    }
}
