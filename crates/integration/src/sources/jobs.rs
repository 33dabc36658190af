//! Room `integration`: the job that tells what was received.

use std::sync::Arc;

use misy_core::{Ctx, ReceiptId};
use misy_jobs::{Job, JobError};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// Checks what was received against its source's schema and tells it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Process {
    /// What was received.
    pub receipt: ReceiptId,
}

impl Job for Process {
    const NAME: &'static str = "integration.sources.process";
    type Deps = Deps;

    async fn run(self, ctx: Ctx, deps: Arc<Deps>) -> Result<(), JobError> {
        match service::process(&deps, &ctx, self.receipt).await? {
            Some(until) => Err(JobError::Park { until }),
            None => Ok(()),
        }
    }
}
