//! Room `identity`: which group stands for which role, and giving roles by it.

use misy_core::{Ctx, Permission, Role, UserId};
use misy_store::{Audit, TenantTx};
use serde_json::json;
use uuid::Uuid;

use crate::scim::model::groups::{Mapping, check_mappings};
use crate::scim::model::people::role_by_groups;
use crate::scim::store::roles as store;
use crate::{Deps, Error, revocations};

/// People and the versions below which their tokens are dead.
pub(super) type Raised = Vec<(Uuid, i64)>;

/// Gives these people the role that follows from their groups. They are locked already.
pub(super) async fn settle_roles(tx: &mut TenantTx, people: &[UserId]) -> Result<Raised, Error> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let positions = store::positions(tx, people).await?;
    let (mut by_group, mut by_hand) = (Vec::new(), Vec::new());
    let mut roles: Vec<(UserId, Role)> = Vec::with_capacity(positions.len());
    for one in &positions {
        let given = role_by_groups(one.role, one.by_group, &one.mapped);
        let mapped = given.is_some() && one.mapped.iter().any(|role| *role < Role::Owner);
        let list = if mapped { &mut by_group } else { &mut by_hand };
        list.push(one.user);
        roles.push((one.user, given.unwrap_or(one.role)));
    }
    let now = tx.ambient().now();
    let raised = store::give(tx, &roles, now).await?;
    store::mark(tx, &by_group, &by_hand).await?;
    if !raised.is_empty() {
        revocations::store::raise_users(tx, &raised).await?;
    }
    Ok(raised)
}

/// Which group stands for which role.
pub(crate) async fn list(deps: &Deps, ctx: &Ctx) -> Result<Vec<Mapping>, Error> {
    ctx.require(Permission::RoleRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::list(&mut tx).await?)
}

/// Replaces all mappings; everybody's role follows at once.
pub(crate) async fn replace(
    deps: &Deps,
    ctx: &Ctx,
    mappings: Vec<Mapping>,
) -> Result<Vec<Mapping>, Error> {
    ctx.require(Permission::RoleManage)?;
    check_mappings(&mappings, ctx.grants())?;
    let mut tx = deps.db.tenant(ctx).await?;
    store::replace(&mut tx, &mappings).await?;
    let everybody = store::everybody(&mut tx).await?;
    let everybody = store::lock(&mut tx, &everybody).await?;
    let raised = settle_roles(&mut tx, &everybody).await?;
    let detail = json!({"mappings": mappings.len(), "roles_changed": raised.len()});
    tx.audit(Audit::new("scim_role_mappings.replaced", "tenant", ctx.tenant()).with(detail));
    let kept = store::list(&mut tx).await?;
    tx.commit().await?;
    deps.revocations.note(&raised);
    Ok(kept)
}
