//! Room `tenancy`: removing what was closed, telling what became of a tenant.

use std::sync::Arc;

use misy_core::{PlatformCtx, TenantId, Timestamp};
use misy_jobs::{JobError, PlatformJob};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;
use crate::tenants::Status;

/// Removes everything of a tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {
    /// Which tenant.
    pub tenant: TenantId,
}

impl PlatformJob for Purge {
    const NAME: &'static str = "tenancy.lifecycles.purge";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::finish_removal(&deps, &ctx, self.tenant).await?)
    }
}

/// Tells a tenant's webhooks what became of the tenant. One that cannot hear it now, because it was
/// stopped, is told when it works again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tell {
    /// Which tenant.
    pub tenant: TenantId,
    /// The type of the event.
    pub what: String,
    /// Where it stood then.
    pub status: Status,
    /// Why.
    pub reason: Option<String>,
    /// Its plan then.
    pub plan: String,
    /// Its plan before, if that changed.
    pub plan_before: Option<String>,
    /// When it happened.
    pub at: Timestamp,
}

impl PlatformJob for Tell {
    const NAME: &'static str = "tenancy.lifecycles.tell";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::deliver(&deps, &ctx, self).await?)
    }
}
