//! Room `tenancy`: what was decided about plans comes when its time has come.

use std::sync::Arc;

use misy_core::{PlatformCtx, TenantId};
use misy_jobs::{JobError, PlatformJob};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::service;
use crate::Deps;

/// Gives a tenant the plan that was decided for a time that has come.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyChange {
    /// Which tenant.
    pub tenant: TenantId,
    /// Which decision.
    pub change: Uuid,
}

impl PlatformJob for ApplyChange {
    const NAME: &'static str = "tenancy.plans.apply_change";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::apply(&deps, &ctx, self.tenant, self.change).await?)
    }
}

/// Brings a version of a plan to its tenants, a page at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct RollOut {
    /// Which plan.
    pub plan: String,
    /// Which version of it.
    pub number: i32,
    /// Those up to this one have it.
    pub after: Option<TenantId>,
}

impl PlatformJob for RollOut {
    const NAME: &'static str = "tenancy.plans.roll_out";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::roll_out(&deps, &ctx, &self.plan, self.number, self.after).await?)
    }
}
