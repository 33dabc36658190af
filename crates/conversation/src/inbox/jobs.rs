//! Room `conversation`: the jobs that empty an account's inbox and archive what was in it.
//!
//! The job is enqueued right after the payloads were stored, unless one waits in the queue already.
//! A process that ends in between leaves payloads behind, which a sweep finds. A job that fails is
//! tried again, then kept as a dead letter to be replayed.

use std::sync::Arc;
use std::time::Duration;

use misy_core::{ChannelId, Ctx, PlatformCtx};
use misy_jobs::{Job, JobError, PlatformJob, Registry, Retry};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Takes in what lies in one account's inbox.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ingest {
    /// Whose inbox.
    pub channel: ChannelId,
}

/// Has an account's inbox looked at again when a payload that failed is due. It is in no lane: one
/// that waits holds up what comes after it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Revisit {
    /// Whose inbox.
    pub channel: ChannelId,
}

impl Job for Revisit {
    const NAME: &'static str = "conversation.inbox.revisit";
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        let mut tx = deps.db.tenant(&ctx).await.map_err(JobError::retry)?;
        Ingest { channel: self.channel }.enqueue(&mut tx);
        tx.commit().await.map_err(JobError::retry)
    }
}

impl Job for Ingest {
    const NAME: &'static str = "conversation.inbox.ingest";
    const LIMIT: Duration = Duration::from_mins(1);
    type Deps = Deps;

    fn lane(&self) -> Option<String> {
        Some(format!("in:{}", self.channel))
    }

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        service::ingest(&deps, &ctx, self.channel).await.map_err(JobError::retry)
    }
}

/// Keeps as documents what was taken in from one account's inbox.
#[derive(Debug, Serialize, Deserialize)]
pub struct Archive {
    /// Whose inbox.
    pub channel: ChannelId,
}

impl Job for Archive {
    const NAME: &'static str = "conversation.inbox.archive";
    const LIMIT: Duration = Duration::from_mins(1);
    type Deps = Deps;

    fn lane(&self) -> Option<String> {
        Some(format!("archive:{}", self.channel))
    }

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        service::archive(&deps, &ctx, self.channel).await.map_err(JobError::retry)
    }
}

/// Looks for payloads that were stored and that no job was told of.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sweep {}

impl PlatformJob for Sweep {
    const NAME: &'static str = "conversation.inbox.sweep";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::sweep(&deps, &ctx).await?)
    }
}

/// Adds this resource's jobs and their schedule.
pub(crate) fn register(registry: Registry, deps: &Arc<Deps>) -> Registry {
    registry
        .register::<Ingest>(Arc::clone(deps))
        .register::<Revisit>(Arc::clone(deps))
        .register::<Archive>(Arc::clone(deps))
        .register_platform::<Sweep>(Arc::clone(deps))
        .every(Sweep::NAME, Duration::from_secs(10), Sweep {})
}
