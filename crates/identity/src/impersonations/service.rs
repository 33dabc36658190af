//! Room `identity`: letting an operator into a tenant, watching the visit and ending it.

use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{
    Actor, Ctx, Cursor, ImpersonationId, Limit, OperatorId, Page, Permission, PlatformCtx, Proof,
    Role, Secret, TenantId, Timestamp, UserId,
};
use misy_store::Audit;
use misy_web::Principal;
use serde_json::json;

use super::model::{self, Error, Visit, Wire};
use super::store;
use crate::tokens::model::{open, peek_kid};
use crate::users::model::Status;
use crate::{Deps, Error as Failure, revocations, sessions, tokens, users};

/// A visit that is asked for. Reason and length have been checked.
pub(crate) struct Wanted {
    pub(crate) operator: OperatorId,
    pub(crate) tenant: TenantId,
    pub(crate) user: Option<UserId>,
    pub(crate) read_only: bool,
    pub(crate) reason: String,
    pub(crate) lasts_s: u32,
}

/// Lets an operator in; gives the token and how long it lasts, or `None` if there is nobody to be
/// or the operator may not act any more. The tenant's log and the platform's both have it.
pub(crate) async fn begin(
    deps: &Deps,
    ctx: &PlatformCtx,
    wanted: Wanted,
) -> Result<Option<Secret>, Failure> {
    let Wanted { operator, tenant, user, read_only, reason, lasts_s } = wanted;
    let mut platform = deps.db.platform_read(ctx).await?;
    let uv = store::find_operator_version(&mut platform, operator).await?;
    drop(platform);
    let Some(uv) = uv else { return Ok(None) };
    let inside = ctx.enter(tenant, ctx.grants());
    let mut tx = deps.db.tenant(&inside).await?;
    let role = match user {
        None => Role::Admin,
        Some(user) => match users::store::find(&mut tx, user).await? {
            Some(found) if found.status == Status::Active => found.role,
            _ => return Ok(None),
        },
    };
    let now = whole_seconds(deps.ambient.now());
    let expires_at = now.checked_add(Duration::from_secs(lasts_s.into())).unwrap_or(now);
    let visit = Visit {
        id: deps.ambient.id(),
        operator,
        user,
        role,
        read_only,
        reason,
        started_at: now,
        expires_at,
        ended_at: None,
        ended_by: None,
    };
    store::insert(&mut tx, &visit).await?;
    let detail = json!({
        "operator": operator, "user": user, "read_only": read_only, "lasts_s": lasts_s,
        "tenant": tenant,
    });
    let leaf =
        || Audit::new("impersonation.started", "impersonation", visit.id).with(detail.clone());
    tx.audit(leaf());
    tx.commit().await?;
    // One after the other, so that nobody waits for a second connection while holding one. Without
    // this record no token is given.
    let mut platform = deps.db.platform(ctx).await?;
    platform.audit(leaf());
    platform.commit().await?;
    let issuer = sessions::service::issuer(deps);
    let wire = Wire::new(&issuer, tenant, &visit, uv);
    Ok(Some(Secret::new(deps.keys.signer()?.sign(model::typ(), &wire))))
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Who holds the token of a visit, if the visit and the operator are still good.
pub(crate) async fn admit(deps: &Deps, bearer: &Secret) -> Result<Principal, Failure> {
    let token = bearer.expose();
    if let Some(kid) = peek_kid(token) {
        deps.keys.look_for(&kid).await?;
    }
    let wire: Wire = open(token, model::typ(), |kid| deps.keys.find(kid))?;
    wire.check(&sessions::service::issuer(deps), deps.ambient.now())?;
    let (operator, user) = wire.actors()?;
    let versions = [(wire.imp.uuid(), VISIT_VERSION), (operator.uuid(), wire.uv)];
    if !deps.revocations.allow(versions).await? {
        return Err(tokens::Error::Revoked.into());
    }
    let actor = match user {
        Some(user) => Actor::Impersonator { operator, user },
        None => Actor::Operator(operator),
    };
    let proof = Proof::default();
    let grants = deps.policies.narrow(wire.tid, actor, wire.grants(), proof).await?;
    Ok(Principal::Tenant { tenant: wire.tid, actor, grants, proof })
}

/// The version of every visit's token; its end raises the least one that is believed.
const VISIT_VERSION: i64 = 1;

/// One page of the visits to the tenant, latest first.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Visit>, Failure> {
    ctx.require(Permission::ImpersonationRead)?;
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |visit| visit.id))
}

/// Ends a visit: the tenant's owner any, an operator their own. Its token is dead within a second.
pub(super) async fn end(deps: &Deps, ctx: &Ctx, id: ImpersonationId) -> Result<Visit, Failure> {
    let visitor = match ctx.actor() {
        Actor::Operator(operator) | Actor::Impersonator { operator, .. } => Some(operator),
        _ => None,
    };
    if visitor.is_none() {
        ctx.require(Permission::ImpersonationEnd)?;
    }
    let mut tx = deps.db.tenant(ctx).await?;
    let visit = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if visitor.is_some_and(|visitor| visitor != visit.operator) {
        return Err(Error::NotFound.into());
    }
    let now = deps.ambient.now();
    if !visit.is_under_way(now) {
        return Err(Error::Over.into());
    }
    let by = ctx.actor().to_string();
    let ended = store::end(&mut tx, id, &by, now).await?.ok_or(Error::NotFound)?;
    let floor = VISIT_VERSION + 1;
    revocations::store::raise_until(&mut tx, id.uuid(), floor, visit.expires_at).await?;
    tx.audit(Audit::new("impersonation.ended", "impersonation", id));
    tx.commit().await?;
    deps.revocations.note(&[(id.uuid(), floor)]);
    Ok(ended)
}
