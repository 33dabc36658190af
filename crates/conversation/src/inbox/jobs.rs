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

/// How long payloads of a tenant that is stopped wait between two looks.
const STOPPED: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);

impl Job for Ingest {
    const NAME: &'static str = "conversation.inbox.ingest";
    const LIMIT: Duration = Duration::from_mins(1);
    type Deps = Deps;

    fn lane(&self) -> Option<String> {
        Some(format!("in:{}", self.channel))
    }

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        if !deps.tenants.is_active(ctx.tenant()).await.map_err(JobError::retry)? {
            return Err(JobError::Park { until: deps.ambient.now() + STOPPED });
        }
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
