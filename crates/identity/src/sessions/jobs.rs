//! Room `identity`: the sweep of what is over.

use std::sync::Arc;
use std::time::Duration;

use misy_core::PlatformCtx;
use misy_jobs::{JobError, PlatformJob, Registry, Retry};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Removes sessions, refresh tokens and revocations that are over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sweep {}

impl PlatformJob for Sweep {
    const NAME: &'static str = "identity.sessions.sweep";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::sweep(&deps, &ctx).await?)
    }
}

/// Adds this resource's jobs and their schedule.
pub(crate) fn register(registry: Registry, deps: &Arc<Deps>) -> Registry {
    registry.register_platform::<Sweep>(Arc::clone(deps)).every(
        Sweep::NAME,
        Duration::from_mins(10),
        Sweep {},
    )
}
