//! Room `tenancy`: what follows from a change of a tenant.

use std::sync::Arc;

use misy_core::{PlatformCtx, TenantId};
use misy_jobs::{JobError, PlatformJob};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Puts the limits of a tenant's new plan in force, should the request that changed it not have.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdoptPlan {
    /// Which tenant.
    pub tenant: TenantId,
}

impl PlatformJob for AdoptPlan {
    const NAME: &'static str = "tenancy.tenants.adopt_plan";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::adopt_plan(&deps, &ctx, self.tenant).await?)
    }
}
