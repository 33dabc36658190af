//! Room `identity`: adding and changing the people of the platform.

use misy_core::id::TypedId;
use misy_core::{Cursor, Limit, OperatorId, Page, Permission, Personal, PlatformCtx};
use misy_store::Audit;
use misy_web::IfMatch;
use serde_json::json;

use super::model::{self, Error as OperatorError, NewOperator, Operator, OperatorChange};
use super::store;
use crate::{Deps, Error, passwords, revocations};

/// One page of the people of the platform.
pub(super) async fn list(
    deps: &Deps,
    ctx: &PlatformCtx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Operator>, Error> {
    ctx.require(Permission::PlatformPeopleRead)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |operator| operator.id))
}

/// Adds a person with a password that opens the platform and no tenant.
pub(super) async fn create(
    deps: &Deps,
    ctx: &PlatformCtx,
    new: NewOperator,
) -> Result<Operator, Error> {
    ctx.require(Permission::PlatformPeopleManage)?;
    let email = new.check()?;
    passwords::model::check(&new.password, &[email.as_str(), &new.name.0], "/password")?;
    let hash = deps.hasher.hash(email.as_str(), &new.password).await?;
    let operator = Operator {
        id: deps.ambient.id(),
        email: Personal(email.as_str().to_owned()),
        name: new.name,
        role: new.role,
        active: true,
        version: 1,
        created_at: deps.ambient.now(),
    };
    let mut tx = deps.db.platform(ctx).await?;
    store::insert(&mut tx, &operator, &hash).await.map_err(taken)?;
    let detail = json!({"role": operator.role});
    tx.audit(Audit::new("operator.created", "operator", operator.id).with(detail));
    tx.commit().await?;
    Ok(operator)
}

fn taken(error: misy_store::Error) -> Error {
    if error.unique_violation().is_some() { OperatorError::EmailTaken.into() } else { error.into() }
}

/// Changes name, role or status. With another role or status tokens from before die within a
/// second; whoever is disabled is signed out for good.
pub(super) async fn update(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: OperatorId,
    seen: &IfMatch,
    change: OperatorChange,
) -> Result<Operator, Error> {
    ctx.require(Permission::PlatformPeopleManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let all = store::lock_all(&mut tx).await?;
    let before = all.iter().find(|one| one.id == id).ok_or(OperatorError::NotFound)?;
    seen.check(before.version)?;
    let others = all.iter().any(|one| one.id != id && one.runs_the_platform());
    let after = model::decide(before, change, others)?;
    let access_changed = (after.role, after.active) != (before.role, before.active);
    let saved = store::update(&mut tx, &after, access_changed).await?;
    let (version, uv) = saved.ok_or(OperatorError::NotFound)?;
    revocations::store::raise_person(&mut tx, None, id.uuid(), uv).await?;
    let detail = json!({"role": after.role, "active": after.active});
    tx.audit(Audit::new("operator.updated", "operator", id).with(detail));
    tx.commit().await?;
    deps.revocations.note(&[(id.uuid(), uv)]);
    Ok(Operator { version, ..after })
}
