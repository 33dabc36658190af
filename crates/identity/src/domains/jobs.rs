//! Room `identity`: looking again whether a domain is still a tenant's.

use std::sync::Arc;
use std::time::Duration;

use misy_core::{Ctx, DomainId, PlatformCtx};
use misy_jobs::{Job, JobError, PlatformJob, Registry, Retry};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Has those looked for whose day has come.
#[derive(Debug, Serialize, Deserialize)]
pub struct Watch {}

impl PlatformJob for Watch {
    const NAME: &'static str = "identity.domains.watch";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::watch(&deps, &ctx).await?)
    }
}

/// Looks for the proof of one domain again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recheck {
    /// Which.
    pub domain: DomainId,
}

impl Job for Recheck {
    const NAME: &'static str = "identity.domains.recheck";
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::recheck(&deps, &ctx, self.domain).await?)
    }
}

/// Adds this resource's jobs and their schedule.
pub(crate) fn register(registry: Registry, deps: &Arc<Deps>) -> Registry {
    let every = Duration::from_mins(10);
    registry
        .register::<Recheck>(Arc::clone(deps))
        .register_platform::<Watch>(Arc::clone(deps))
        .every(Watch::NAME, every, Watch {})
}
