//! Room `identity`: a tenant's roles, and who may give which.

use std::collections::HashMap;

use misy_core::error::Fault;
use misy_core::{Code, Grants, Permission, Public, Role, RoleId};

use crate::notices::model::Effect;

/// How many roles of its own a tenant may have.
pub(crate) const OWN_MAX: usize = 100;
/// How many roles of the tenant's own may inherit from one another in a line.
pub(crate) const DEPTH_MAX: usize = 8;

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
    /// Goes up with every change.
    pub(crate) version: i64,
}

impl TenantRole {
    /// The built-in role that it is. What that grants is in the program, so that a new permission
    /// needs no change of data.
    fn as_built_in(&self) -> Option<Role> {
        self.slug.parse().ok().filter(|_| self.built_in)
    }
}

/// A role to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewRole {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) inherits: String,
    pub(crate) permissions: Vec<Permission>,
}

/// What is to change of a role; what is absent stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleChange {
    pub(crate) name: Option<String>,
    pub(crate) inherits: Option<String>,
    pub(crate) permissions: Option<Vec<Permission>>,
}

/// What fails around roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such role in this tenant.
    #[error("no such role")]
    NotFound,
    /// It is built in.
    #[error("built-in roles do not change")]
    BuiltIn,
    /// Another one has the slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// People, keys, service accounts or other roles have it.
    #[error("the role is in use")]
    InUse,
    /// The tenant has as many as it may.
    #[error("too many roles")]
    TooMany,
    /// Fields are wrong.
    #[error("the role's data is not valid")]
    Invalid(Vec<Fault>),
}

impl Public for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::BuiltIn | Self::SlugTaken | Self::InUse | Self::TooMany => Code::Conflict,
            Self::Invalid(_) => Code::Invalid,
        }
    }
    fn detail(&self) -> Option<String> {
        let text = match self {
            Self::NotFound | Self::Invalid(_) => return None,
            Self::BuiltIn => {
                "Built-in roles are the same everywhere; make a role of your own that inherits."
            }
            Self::SlugTaken => "There is a role with this slug already.",
            Self::InUse => {
                "People, keys, service accounts or other roles have it; give them another first."
            }
            Self::TooMany => return Some(format!("A tenant may have {OWN_MAX} roles of its own.")),
        };
        Some(text.to_owned())
    }
    fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Invalid(faults) => faults.clone(),
            _ => Vec::new(),
        }
    }
}

fn invalid(pointer: &str, detail: impl Into<String>) -> Error {
    Error::Invalid(vec![Fault { pointer: pointer.to_owned(), detail: detail.into() }])
}

/// All roles of a tenant, to be asked what each comes to.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoleBook(HashMap<String, TenantRole>);

impl RoleBook {
    pub(crate) fn new(roles: impl IntoIterator<Item = TenantRole>) -> Self {
        Self(roles.into_iter().map(|role| (role.slug.clone(), role)).collect())
    }

    /// A role by slug.
    pub(crate) fn find(&self, slug: &str) -> Option<&TenantRole> {
        self.0.get(slug)
    }

    /// A role by id.
    pub(crate) fn find_by_id(&self, id: RoleId) -> Option<&TenantRole> {
        self.0.values().find(|role| role.id == id)
    }

    /// How many the tenant made itself.
    pub(crate) fn count_own(&self) -> usize {
        self.0.values().filter(|role| !role.built_in).count()
    }

    /// With this role in it, instead of the one of the same slug.
    pub(crate) fn with(mut self, role: TenantRole) -> Self {
        self.0.insert(role.slug.clone(), role);
        self
    }

    /// The role and those it inherits from, up to the built-in one; `None` if one of them is not
    /// there, the line goes in a circle or is longer than allowed.
    pub(crate) fn line(&self, slug: &str) -> Option<Vec<&TenantRole>> {
        let mut line = vec![self.find(slug)?];
        while line[line.len() - 1].as_built_in().is_none() {
            let above = line[line.len() - 1].parent.as_deref()?;
            line.push(self.find(above)?);
            if line.len() > DEPTH_MAX + 1 {
                return None;
            }
        }
        Some(line)
    }

    /// What a role comes to. A role whose line is broken gives nothing.
    pub(crate) fn effect(&self, slug: &str) -> Effect {
        let Some(line) = self.line(slug) else { return Effect::default() };
        let base = line.last().and_then(|role| role.as_built_in());
        let own: Grants = line.iter().flat_map(|role| role.own.iter().copied()).collect();
        let above = base.map_or(Grants::NONE, Role::grants);
        Effect { base, permissions: own.without(above).iter().collect() }
    }

    /// Everything a role grants.
    pub(crate) fn grants(&self, slug: &str) -> Grants {
        self.effect(slug).grants()
    }

    /// The roles whose effect hangs on this one: itself and all below it in the line.
    pub(crate) fn affected(&self, slug: &str) -> Vec<(String, Effect)> {
        let hangs = |role: &&TenantRole| {
            let line = self.line(&role.slug);
            line.is_some_and(|line| line.iter().any(|one| one.slug == slug))
        };
        let own = self.0.values().filter(|role| !role.built_in).filter(hangs);
        own.map(|role| (role.slug.clone(), self.effect(&role.slug))).collect()
    }

    /// Checks a role that is about to be in the book: it inherits from one that is there, not from
    /// itself by any way, and grants nothing of the platform.
    pub(crate) fn check(&self, role: &TenantRole) -> Result<(), Error> {
        let parent = role.parent.as_deref().unwrap_or_default();
        if self.find(parent).is_none() {
            return Err(invalid("/inherits", "is no role of this tenant"));
        }
        if self.clone().with(role.clone()).line(&role.slug).is_none() {
            let detail = format!("goes in a circle, or a line of more than {DEPTH_MAX} roles");
            return Err(invalid("/inherits", detail));
        }
        let platform = role.own.iter().position(|one| Role::Operator.grants().has(*one));
        match platform {
            Some(at) => Err(invalid(&format!("/permissions/{at}"), "is no permission of tenants")),
            None => Ok(()),
        }
    }
}

/// The role that is made, once its slug is looked at: it names the role for ever, in policies too.
pub(crate) fn make(id: RoleId, new: NewRole) -> Result<TenantRole, Error> {
    let NewRole { slug, name, inherits, permissions } = new;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let good = slug.bytes().all(plain) && slug.starts_with(|one: char| one.is_ascii_lowercase());
    if !good {
        return Err(invalid("/slug", "has to be lower-case letters, digits and `_`"));
    }
    if slug.parse::<Role>().is_ok() {
        return Err(Error::SlugTaken);
    }
    let (parent, own) = (Some(inherits), permissions);
    Ok(TenantRole { id, slug, name, parent, own, built_in: false, version: 1 })
}

/// A role with a change in it.
pub(crate) fn change(role: &TenantRole, change: RoleChange) -> Result<TenantRole, Error> {
    if role.built_in {
        return Err(Error::BuiltIn);
    }
    let mut after = role.clone();
    after.name = change.name.unwrap_or(after.name);
    after.parent = change.inherits.or(after.parent);
    after.own = change.permissions.unwrap_or(after.own);
    Ok(after)
}

/// A role as somebody or a program has it: a built-in one, with one of the tenant's own on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// What a token says.
    pub(crate) base: Role,
    /// The slug of the tenant's own, which gives the rest.
    pub(crate) own: Option<String>,
}

/// Finds what a slug in a body means.
pub(crate) fn assign(slug: &str, book: &RoleBook) -> Result<Assigned, Error> {
    match slug.parse::<Role>() {
        Ok(base) if Role::OF_TENANT.contains(&base) => Ok(Assigned { base, own: None }),
        Err(_) if book.find(slug).is_some() => {
            Ok(Assigned { base: Role::Viewer, own: Some(slug.to_owned()) })
        }
        _ => Err(invalid("/role", "is not a role of this tenant")),
    }
}

impl Assigned {
    /// The slug as it is shown.
    pub(crate) fn slug(&self) -> &str {
        self.own.as_deref().unwrap_or(self.base.slug())
    }

    /// Everything it grants.
    pub(crate) fn grants(&self, book: &RoleBook) -> Grants {
        let own = self.own.as_deref().map_or(Grants::NONE, |slug| book.grants(slug));
        self.base.grants().union(own)
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
        Role::Support => "Support",
        Role::Auditor => "Auditor",
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
mod tests;
