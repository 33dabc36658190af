//! Room `integration`: the job that keeps the days in which events, deliveries and attempts lie.

use std::sync::Arc;
use std::time::Duration;

use misy_core::PlatformCtx;
use misy_jobs::{JobError, PlatformJob};
use serde::{Deserialize, Serialize};

use super::service;
use crate::Deps;

/// How often the days are looked after.
pub const KEEP_DAYS_EVERY: Duration = Duration::from_hours(1);

/// Makes the partitions of days to come and drops those of days that are over.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeepDays {}

impl PlatformJob for KeepDays {
    const NAME: &'static str = "integration.events.keep_days";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::keep_days(&deps, &ctx).await?)
    }
}
