//! Room `identity`: reading roles.

use misy_core::{Ctx, Cursor, Limit, Page, Permission};

use super::model::TenantRole;
use super::store;
use crate::{Deps, Error};

/// One page of the tenant's roles.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<TenantRole>, Error> {
    ctx.require(Permission::RoleRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |role| role.id))
}
