//! Room `tenancy`: looking at jobs that gave up, and having them run again.

use misy_core::{Ctx, Cursor, JobId, Limit, Page, Permission};
use misy_jobs::dead_letters::{self, DeadLetter, Filter};

use super::model::Error;
use crate::Deps;

/// One page of the tenant's jobs that gave up, newest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, Error> {
    ctx.require(Permission::DeadLetterRead)?;
    Ok(dead_letters::list(&mut deps.db.read(ctx).await?, cursor, limit).await?)
}

/// Has one of them run again, soon; it keeps its id.
pub async fn replay(deps: &Deps, ctx: &Ctx, id: JobId) -> Result<(), Error> {
    ctx.require(Permission::DeadLetterReplay)?;
    let mut tx = deps.db.tenant(ctx).await?;
    if dead_letters::find(&mut tx, id).await?.is_none() {
        return Err(Error::NotFound);
    }
    dead_letters::replay(&mut tx, Filter { id: Some(id), ..Filter::default() })?;
    Ok(tx.commit().await?)
}
