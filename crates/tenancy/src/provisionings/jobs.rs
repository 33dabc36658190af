//! Room `tenancy`: finishing what a request began.

use std::sync::Arc;

use misy_core::{PlatformCtx, TenantId};
use misy_jobs::{JobError, PlatformJob, Retry};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Makes what is still missing of a new tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProvisionTenant {
    /// Which tenant.
    pub tenant: TenantId,
}

impl PlatformJob for ProvisionTenant {
    const NAME: &'static str = "tenancy.tenants.provision";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::finish_later(&deps, &ctx, self.tenant).await?)
    }
}

/// Goes on with makings and removals that nobody is at.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attend {}

impl PlatformJob for Attend {
    const NAME: &'static str = "tenancy.provisionings.attend";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::attend(&deps, &ctx).await?)
    }
}
