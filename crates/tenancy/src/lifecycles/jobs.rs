//! Room `tenancy`: removing what was closed.

use std::sync::Arc;

use misy_core::{PlatformCtx, TenantId};
use misy_jobs::{JobError, PlatformJob};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

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
