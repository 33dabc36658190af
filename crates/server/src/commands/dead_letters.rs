//! Room `server`: `misybot dead-letters`.

use std::path::Path;

use misy_core::{JobId, TenantId};
use misy_jobs::dead_letters::{self, Filter};

use super::{Installation, platform_ctx};
use crate::cli::{DeadLetters, Place};

/// Has jobs that gave up run again.
pub async fn run(command: &DeadLetters, file: Option<&Path>) -> anyhow::Result<()> {
    match command {
        DeadLetters::Replay { tenant, job, name, place } => {
            replay(place, file, *tenant, *job, name.clone()).await
        }
    }
}

async fn replay(
    place: &Place,
    file: Option<&Path>,
    tenant: Option<TenantId>,
    id: Option<JobId>,
    name: Option<String>,
) -> anyhow::Result<()> {
    let installation = Installation::open(place, file)?;
    let ctx = platform_ctx(&installation.ambient);
    let filter = Filter { id, name, since: None };
    let count = dead_letters::revive(&installation.db, &ctx, tenant, &filter).await?;
    println!("{count} put back into the queue");
    Ok(())
}
