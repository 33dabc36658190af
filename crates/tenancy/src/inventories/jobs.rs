//! Room `tenancy`: comparing wanted with found, again and again.

use std::sync::Arc;

use misy_core::{PlatformCtx, TenantId};
use misy_jobs::{JobError, PlatformJob, Retry};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Looks at every tenant in every store, some at a time.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Reconcile {
    /// The tenant behind which it goes on.
    #[serde(default)]
    pub after: Option<TenantId>,
}

impl PlatformJob for Reconcile {
    const NAME: &'static str = "tenancy.inventories.reconcile";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::reconcile(&deps, &ctx, self.after).await?)
    }
}
