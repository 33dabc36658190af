//! Room `identity`: sending letters.

use std::sync::Arc;

use misy_core::News;
use misy_core::{Ctx, PlatformCtx};
use misy_jobs::{Job, JobError, PlatformJob, Registry};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::service;
use crate::Deps;

/// Sends a letter of a tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    /// Which.
    pub letter: Uuid,
}

impl Job for Send {
    const NAME: &'static str = "identity.letters.send";
    type Deps = Deps;

    async fn run(self, _: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::send(&deps, self.letter).await?)
    }
}

/// Sends a letter to somebody who is not inside any tenant yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendAcross {
    /// Which.
    pub letter: Uuid,
}

impl PlatformJob for SendAcross {
    const NAME: &'static str = "identity.letters.send_across";
    type Deps = Deps;

    async fn run(self, _: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::send(&deps, self.letter).await?)
    }
}

/// Writes to those who run a tenant what they should hear of.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tell {
    /// What.
    pub news: News,
}

impl Job for Tell {
    const NAME: &'static str = "identity.letters.tell";
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::tell(&deps, &ctx, &self.news).await?)
    }
}

/// Adds this resource's jobs.
pub(crate) fn register(registry: Registry, deps: &Arc<Deps>) -> Registry {
    registry
        .register::<Send>(Arc::clone(deps))
        .register::<Tell>(Arc::clone(deps))
        .register_platform::<SendAcross>(Arc::clone(deps))
}
