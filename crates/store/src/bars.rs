//! Room `store`: tenants into which the door leads nobody, or only those who keep the platform.
//! Each process is told by what watches the tenants; see `misy_tenancy::Directory`.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use misy_core::id::TypedId;
use misy_core::{Actor, Ctx, TenantId};
use uuid::Uuid;

use crate::Error;

/// Who is kept out of a tenant. Operators and the program itself never are: they make, watch and
/// remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// Its people and programs; what customers send is kept for later.
    People,
    /// What customers send as well.
    Everybody,
}

/// The barred tenants, as this process knows them.
#[derive(Debug, Default)]
pub struct Bars(RwLock<HashMap<Uuid, Bar>>);

impl Bars {
    /// Bars a tenant, or lets everybody in again.
    pub fn set(&self, tenant: TenantId, bar: Option<Bar>) {
        let known = self.of(tenant);
        if known == bar {
            return;
        }
        let mut bars = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match bar {
            Some(bar) => drop(bars.insert(tenant.uuid(), bar)),
            None => drop(bars.remove(&tenant.uuid())),
        }
    }

    fn of(&self, tenant: TenantId) -> Option<Bar> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&tenant.uuid()).copied()
    }

    /// Refuses whoever is kept out.
    pub(crate) fn check(&self, ctx: &Ctx) -> Result<(), Error> {
        let Some(bar) = self.of(ctx.tenant()) else { return Ok(()) };
        match (ctx.actor(), bar) {
            (Actor::Operator(_) | Actor::System, _) | (Actor::Channel, Bar::People) => Ok(()),
            (Actor::User(_) | Actor::ApiKey(_) | Actor::Impersonator { .. }, _)
            | (Actor::Channel, Bar::Everybody) => Err(Error::Barred),
        }
    }
}
