//! Room `conversation`: the jobs that empty an account's inbox and archive what was in it.
//!
//! No sweep looks for payloads that were left behind: the job is enqueued in the transaction that
//! stores the payload, and one that fails is tried again, then kept as a dead letter to be
//! replayed.

use std::sync::Arc;
use std::time::Duration;

use misy_core::{ChannelId, Ctx};
use misy_jobs::{Job, JobError};
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
