//! Room `tenancy`: the letters of sign-ups, and forgetting those that nobody needs.

use std::sync::Arc;

use misy_core::{PlatformCtx, SignupId};
use misy_jobs::{JobError, PlatformJob, Retry};
use serde::{Deserialize, Serialize};

use super::model::About;
use super::service;
use crate::Deps;

/// Sends a letter of a sign-up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    /// Which sign-up.
    pub signup: SignupId,
    /// What it is about.
    pub about: About,
}

impl PlatformJob for Send {
    const NAME: &'static str = "tenancy.signups.send";
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::send(&deps, &ctx, self.signup, self.about).await?)
    }
}

/// Drops sign-ups whose link has expired, and those that were decided long ago.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sweep {}

impl PlatformJob for Sweep {
    const NAME: &'static str = "tenancy.signups.sweep";
    const RETRY: Retry = Retry::NEVER;
    type Deps = Deps;

    async fn run(self, ctx: PlatformCtx, deps: Arc<Deps>) -> Result<(), JobError> {
        Ok(service::sweep(&deps, &ctx).await?)
    }
}
