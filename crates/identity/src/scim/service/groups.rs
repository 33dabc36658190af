//! Room `identity`: groups, as a directory makes, changes, finds and removes them.

use misy_core::{Ctx, Permission, ScimGroupId, UserId};
use misy_store::{Audit, TenantTx};
use misy_web::IfMatch;
use serde_json::{Value, json};

use super::roles::{Raised, settle_roles};
use super::{Edit, base, check_seen};
use crate::scim::Error as ScimError;
use crate::scim::model::groups::{self as rules, Group, WantedGroup};
use crate::scim::model::queries::Query;
use crate::scim::model::schemas::Type;
use crate::scim::model::{patches, values};
use crate::scim::store::{groups as store, roles as roles_store};
use crate::{Deps, Error};

/// Groups that one request may look through.
const LOOKED_THROUGH_MAX: i64 = 2_000;

/// Adds a group. Its members get the role that the group is mapped to.
pub(crate) async fn create(deps: &Deps, ctx: &Ctx, body: &Value) -> Result<Value, Error> {
    ctx.require(Permission::ScimManage)?;
    let wanted = rules::read(&values::settle(Type::Group, body)?)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let id: ScimGroupId = tx.ambient().id();
    let raised = write(&mut tx, id, &[], &wanted).await?;
    let detail = json!({"members": wanted.members.len()});
    tx.audit(Audit::new("scim_group.created", "scim_group", id).with(detail));
    let group = find(&mut tx, id).await?;
    tx.commit().await?;
    deps.revocations.note(&raised);
    Ok(group.resource(&base(deps)))
}

async fn find(tx: &mut TenantTx, id: ScimGroupId) -> Result<Group, Error> {
    Ok(store::find(tx, id, false).await?.ok_or(ScimError::NotFound)?)
}

/// Keeps the group and gives everybody who came or went the role that follows.
async fn write(
    tx: &mut TenantTx,
    id: ScimGroupId,
    before: &[UserId],
    wanted: &WantedGroup,
) -> Result<Raised, Error> {
    let mut touched: Vec<UserId> = before.iter().chain(&wanted.members).copied().collect();
    touched.sort_unstable();
    touched.dedup();
    let there = roles_store::lock(tx, &touched).await?;
    if wanted.members.iter().any(|member| !there.contains(member)) {
        let text = "`members` names somebody who is not in the tenant";
        return Err(ScimError::Value(text.to_owned()).into());
    }
    let now = tx.ambient().now();
    let external = wanted.external_id.as_deref();
    let kept = store::save(tx, id, &wanted.name, external, &wanted.members, now).await;
    kept.map_err(|error| match error.unique_violation() {
        Some(_) => Error::from(ScimError::Uniqueness("`displayName`".to_owned())),
        None => error.into(),
    })?;
    settle_roles(tx, &touched).await
}

/// One group.
pub(crate) async fn get(deps: &Deps, ctx: &Ctx, id: ScimGroupId) -> Result<Value, Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(find(&mut tx, id).await?.resource(&base(deps)))
}

/// A page of groups, and how many there are. Without `members` they are not looked up.
pub(crate) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    query: &Query,
    with_members: bool,
) -> Result<(Vec<Value>, usize), Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.read(ctx).await?;
    let base = base(deps);
    let resources = |groups: Vec<Group>| -> Vec<Value> {
        groups.iter().map(|group| group.resource(&base)).collect()
    };
    if query.is_plain() {
        let bounded = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let total = usize::try_from(store::count(&mut tx).await?).unwrap_or(0);
        let (skip, count) = (bounded(query.skip), bounded(query.count));
        let page = store::page(&mut tx, skip, count, with_members).await?;
        return Ok((resources(page), total));
    }
    let candidates = candidates(&mut tx, query).await?;
    Ok(query.choose(resources(candidates)))
}

async fn candidates(tx: &mut TenantTx, query: &Query) -> Result<Vec<Group>, Error> {
    if let Some(filter) = &query.filter {
        let demanded = |name| filter.demanded(name);
        if let Some(id) = demanded("id") {
            let Ok(id) = id.parse() else { return Ok(Vec::new()) };
            return Ok(store::find(tx, id, false).await?.into_iter().collect());
        }
        let (name, external) = (demanded("displayName"), demanded("externalId"));
        if name.is_some() {
            return Ok(store::named(tx, name, None, None).await?);
        }
        if external.is_some() {
            return Ok(store::named(tx, None, external, None).await?);
        }
        if let Some(member) = demanded("members") {
            let Ok(member) = member.parse() else { return Ok(Vec::new()) };
            return Ok(store::named(tx, None, None, Some(member)).await?);
        }
    }
    let all = store::page(tx, 0, LOOKED_THROUGH_MAX + 1, true).await?;
    if i64::try_from(all.len()).is_ok_and(|count| count > LOOKED_THROUGH_MAX) {
        return Err(ScimError::TooMany.into());
    }
    Ok(all)
}

/// Changes a group.
pub(crate) async fn edit(
    deps: &Deps,
    ctx: &Ctx,
    id: ScimGroupId,
    edit: Edit,
    seen: &IfMatch,
) -> Result<Value, Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::find(&mut tx, id, true).await?.ok_or(ScimError::NotFound)?;
    check_seen(seen, before.version)?;
    let document = match edit {
        Edit::Replace(body) => values::settle(Type::Group, &body)?,
        Edit::Patch(body) => {
            let patched = patches::apply(Type::Group, &before.document(), &body)?;
            values::settle(Type::Group, &patched)?
        }
    };
    let wanted = rules::read(&document)?;
    let raised = write(&mut tx, id, &before.members, &wanted).await?;
    let detail = json!({"members": wanted.members.len()});
    tx.audit(Audit::new("scim_group.updated", "scim_group", id).with(detail));
    let group = find(&mut tx, id).await?;
    tx.commit().await?;
    deps.revocations.note(&raised);
    Ok(group.resource(&base(deps)))
}

/// Removes a group. Its members stay, without the role that it gave.
pub(crate) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: ScimGroupId,
    seen: &IfMatch,
) -> Result<(), Error> {
    ctx.require(Permission::ScimManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let group = store::find(&mut tx, id, true).await?.ok_or(ScimError::NotFound)?;
    check_seen(seen, group.version)?;
    roles_store::lock(&mut tx, &group.members).await?;
    store::delete(&mut tx, id).await?;
    let raised = settle_roles(&mut tx, &group.members).await?;
    tx.audit(Audit::new("scim_group.deleted", "scim_group", id));
    tx.commit().await?;
    deps.revocations.note(&raised);
    Ok(())
}
