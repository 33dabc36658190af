//! Room `web`: the question whether a policy forbids what a role grants, as verticals ask it where
//! they have the thing at hand. Answered by `identity`.

use std::sync::Arc;

use async_trait::async_trait;
use misy_core::access::{Forbidden, Resource};
use misy_core::{Ctx, Permission};

/// Knows the policies of tenants.
#[async_trait]
pub trait Policies: Send + Sync {
    /// Whoever decides what this actor may do of one kind; everything that needs a look-up is
    /// looked up once, for any number of resources.
    async fn judge(&self, ctx: &Ctx, permission: Permission) -> Result<Judge, misy_store::Error>;
}

/// Decides about resources, one after the other, from memory.
pub trait Judging: Send + Sync {
    /// Whether every resource may be had without a look: nobody need read it only to ask.
    fn is_open(&self) -> bool {
        false
    }

    /// Whether it may be done with this one. Nothing is written down, for lists.
    fn allows(&self, resource: &Resource) -> bool;

    /// Refuses unless it may be done with this one; a refusal is written down.
    fn require(&self, resource: &Resource) -> Result<(), Forbidden>;
}

/// Somebody who decides.
pub type Judge = Box<dyn Judging>;

/// No policies: what a role grants may be done. For tests of rooms that know no identity.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unrestricted;

impl Unrestricted {
    /// As it is handed around.
    pub fn shared() -> Arc<dyn Policies> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Policies for Unrestricted {
    async fn judge(&self, _: &Ctx, _: Permission) -> Result<Judge, misy_store::Error> {
        Ok(Box::new(Self))
    }
}

impl Judging for Unrestricted {
    fn is_open(&self) -> bool {
        true
    }
    fn allows(&self, _: &Resource) -> bool {
        true
    }
    fn require(&self, _: &Resource) -> Result<(), Forbidden> {
        Ok(())
    }
}
