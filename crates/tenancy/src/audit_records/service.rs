//! Room `tenancy`: searching the audit log.

use misy_core::{Ctx, Cursor, Limit, Page, Permission};

use super::model::{Error, Filter, Record};
use super::store;
use crate::Deps;

/// One page of the tenant's records, newest first.
pub async fn list(
    deps: &Deps,
    ctx: &Ctx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Record>, Error> {
    ctx.require(Permission::AuditRead)?;
    let rows = store::list(&mut deps.db.read(ctx).await?, filter, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |record| record.id))
}
