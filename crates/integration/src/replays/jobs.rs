//! Room `integration`: the job that brings a replay one step further.

use std::sync::Arc;

use misy_core::{Ctx, OperationId};
use misy_jobs::{Job, JobError};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Brings a replay one step further.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replay {
    /// Which replay.
    pub operation: OperationId,
}

impl Job for Replay {
    const NAME: &'static str = "integration.replays.replay";
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::step(&deps, &ctx, self.operation).await?)
    }
}
