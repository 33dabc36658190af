//! Room `identity`: adding, proving and removing domains, and finding where somebody signs in.

use misy_core::{
    Ctx, Cursor, DomainId, Grants, Limit, Page, Permission, PlatformCtx, SsoConnectionId, TenantId,
    Timestamp, crypto,
};
use misy_jobs::Job as _;
use misy_store::{Audit, TenantTx};
use misy_web::{IfMatch, Peer};
use serde_json::json;

use super::jobs::Recheck;
use super::model::{self, Domain, Error, Realm, Turn};
use super::store;
use crate::accounts::Email;
use crate::sso::model::domain_of;
use crate::{Deps, Error as Failure, sso_connections};

/// Adds a domain; it counts once it is verified.
pub(super) async fn create(
    deps: &Deps,
    ctx: &Ctx,
    name: &str,
    connection: Option<SsoConnectionId>,
) -> Result<Domain, Failure> {
    ctx.require(Permission::SsoManage)?;
    let domain = Domain {
        id: deps.ambient.id(),
        name: model::normalise(name)?,
        token: crypto::to_base64url(&deps.ambient.bytes::<24>()),
        connection,
        verified_at: None,
        checked_at: None,
        missing_since: None,
        version: 1,
        created_at: deps.ambient.now(),
    };
    let mut tx = deps.db.tenant(ctx).await?;
    check_connection(&mut tx, connection).await?;
    let taken = |error: misy_store::Error| -> Failure {
        if error.unique_violation().is_some() { Error::Taken.into() } else { error.into() }
    };
    store::insert(&mut tx, &domain).await.map_err(taken)?;
    tx.audit(Audit::new("domain.created", "domain", domain.id));
    tx.commit().await?;
    Ok(domain)
}

async fn check_connection(
    tx: &mut TenantTx,
    connection: Option<SsoConnectionId>,
) -> Result<(), Failure> {
    let Some(id) = connection else { return Ok(()) };
    if sso_connections::store::find(tx, id).await?.is_some() {
        return Ok(());
    }
    let fault = sso_connections::model::fault("/connection_id", "is no connection of the tenant");
    Err(Error::Invalid(vec![fault]).into())
}

/// One page of the tenant's domains.
pub(super) async fn list(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Domain>, Failure> {
    ctx.require(Permission::SsoRead)?;
    page(deps, ctx, cursor, limit).await
}

async fn page(
    deps: &Deps,
    ctx: &Ctx,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Domain>, Failure> {
    let mut tx = deps.db.read(ctx).await?;
    let rows = store::list(&mut tx, cursor.map(|cursor| cursor.0), limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |domain| domain.id))
}

/// One domain.
pub(super) async fn get(deps: &Deps, ctx: &Ctx, id: DomainId) -> Result<Domain, Failure> {
    ctx.require(Permission::SsoRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::find(&mut tx, id).await?.ok_or(Error::NotFound)?)
}

/// Changes where the people of a domain sign in.
pub(super) async fn update(
    deps: &Deps,
    ctx: &Ctx,
    id: DomainId,
    connection: Option<Option<SsoConnectionId>>,
    seen: &IfMatch,
) -> Result<Domain, Failure> {
    ctx.require(Permission::SsoManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let before = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(before.version)?;
    let after = Domain { connection: connection.unwrap_or(before.connection), ..before };
    check_connection(&mut tx, after.connection).await?;
    let saved = store::update(&mut tx, &after).await?.ok_or(Error::NotFound)?;
    if saved.verified_at.is_some() {
        store::save_route(&mut tx, &saved).await?;
    }
    tx.audit(Audit::new("domain.updated", "domain", id));
    tx.commit().await?;
    Ok(saved)
}

/// Looks for the proof in the domain name system. Until it is found, nothing of the domain counts;
/// of two tenants that could both publish it, the first one has the domain.
pub(super) async fn verify(deps: &Deps, ctx: &Ctx, id: DomainId) -> Result<Domain, Failure> {
    ctx.require(Permission::SsoManage)?;
    deps.by_account.take(&id.to_string())?;
    let mut tx = deps.db.read(ctx).await?;
    let domain = store::find(&mut tx, id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    if domain.verified_at.is_some() {
        if domain.missing_since.is_some() {
            recheck(deps, ctx, id).await?;
        }
        return get(deps, ctx, id).await;
    }
    let name = domain.record_name();
    let looked_up = deps.outside()?.names.look_up(&name).await;
    let texts = looked_up.map_err(|_| Error::Unanswered { name: name.clone() })?;
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(ctx).await?;
    if !domain.is_proved_by(&texts) {
        store::note_checked(&mut tx, id, now).await?;
        tx.commit().await?;
        return Err(Error::NotPublished { name, others: texts.len() }.into());
    }
    let locked = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let after = Domain { verified_at: Some(now), checked_at: Some(now), ..locked };
    let elsewhere = |error: misy_store::Error| -> Failure {
        if error.unique_violation().is_some() { Error::Elsewhere.into() } else { error.into() }
    };
    store::insert_route(&mut tx, &after, next_look(now)).await.map_err(elsewhere)?;
    store::save_route(&mut tx, &after).await?;
    let saved = store::update(&mut tx, &after).await?.ok_or(Error::NotFound)?;
    tx.audit(Audit::new("domain.verified", "domain", id).with(json!({"name": saved.name})));
    tx.commit().await?;
    Ok(saved)
}

fn next_look(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second() + model::LOOKED_FOR_EVERY_S).unwrap_or(now)
}

/// Has the proofs looked for whose time has come, each by a job of its tenant.
pub(super) async fn watch(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Failure> {
    let now = deps.ambient.now();
    let mut tx = deps.db.platform(ctx).await?;
    for (tenant, domain) in store::take_due(&mut tx, now, next_look(now)).await? {
        Recheck { domain }.enqueue_across(&mut tx, &ctx.enter(tenant, Grants::NONE));
    }
    tx.commit().await?;
    Ok(())
}

/// Looks again for the proof of a domain that counts. Of no answer nothing follows.
pub(super) async fn recheck(deps: &Deps, ctx: &Ctx, id: DomainId) -> Result<(), Failure> {
    let counts = |domain: &Domain| domain.verified_at.is_some();
    let mut tx = deps.db.read(ctx).await?;
    let found = store::find(&mut tx, id).await?.filter(counts);
    drop(tx);
    let Some(domain) = found else { return Ok(()) };
    let looked_up = deps.outside()?.names.look_up(&domain.record_name()).await;
    let Ok(texts) = looked_up else { return Ok(()) };
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(ctx).await?;
    let Some(locked) = store::lock(&mut tx, id).await?.filter(counts) else { return Ok(()) };
    let (after, turn) = locked.looked_at(&texts, now);
    let action = match turn {
        Turn::None => {
            store::note_checked(&mut tx, id, now).await?;
            return Ok(tx.commit().await?);
        }
        Turn::Missing => "domain.proof_missing",
        Turn::Found => "domain.proof_found",
        Turn::Lost => "domain.lost",
    };
    if turn == Turn::Lost {
        store::delete_route(&mut tx, id).await?;
    }
    store::update(&mut tx, &after).await?;
    tx.audit(Audit::new(action, "domain", id).with(json!({"name": after.name})));
    Ok(tx.commit().await?)
}

/// Removes a domain.
pub(super) async fn delete(
    deps: &Deps,
    ctx: &Ctx,
    id: DomainId,
    seen: &IfMatch,
) -> Result<(), Failure> {
    ctx.require(Permission::SsoManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let domain = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    seen.check(domain.version)?;
    store::delete(&mut tx, id).await?;
    tx.audit(Audit::new("domain.deleted", "domain", id).with(json!({"name": domain.name})));
    tx.commit().await?;
    Ok(())
}

/// The inside of a tenant, for an operator who may do this with tenants.
async fn enter(
    deps: &Deps,
    ctx: &PlatformCtx,
    permission: Permission,
    tenant: TenantId,
) -> Result<Ctx, Failure> {
    ctx.require(permission)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    if !store::is_tenant(&mut tx, tenant).await? {
        return Err(Error::NotFound.into());
    }
    Ok(ctx.enter(tenant, Grants::NONE))
}

/// One page of a tenant's domains, for an operator.
pub(super) async fn list_of(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: TenantId,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Domain>, Failure> {
    let inside = enter(deps, ctx, Permission::PlatformTenantRead, tenant).await?;
    page(deps, &inside, cursor, limit).await
}

/// Takes a domain from a tenant: from now on nobody is led to its provider, and the provider speaks
/// for nobody there. The tenant's log and the platform's both have it, with the reason.
pub(super) async fn take_away(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: TenantId,
    id: DomainId,
    reason: &str,
) -> Result<(), Failure> {
    let inside = enter(deps, ctx, Permission::PlatformTenantManage, tenant).await?;
    let reason = model::check_reason(reason)?;
    let mut tx = deps.db.tenant(&inside).await?;
    let domain = store::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    store::delete(&mut tx, id).await?;
    let was = domain.verified_at.is_some();
    let detail = json!({"name": domain.name, "verified": was, "reason": reason, "tenant": tenant});
    let leaf = || Audit::new("domain.taken_away", "domain", id).with(detail.clone());
    tx.audit(leaf());
    tx.commit().await?;
    // One after the other, so that nobody waits for a second connection while holding one.
    let mut platform = deps.db.platform(ctx).await?;
    platform.audit(leaf());
    Ok(platform.commit().await?)
}

/// Where whoever has this address signs in; `None` means with a password. The domain alone
/// decides, after one look-up, so the answer tells nothing of who is there.
pub(super) async fn discover(
    deps: &Deps,
    ctx: &PlatformCtx,
    email: &str,
    peer: Peer,
) -> Result<Option<Realm>, Failure> {
    deps.by_address.take(&peer.network().0.to_string())?;
    let email = email.parse::<Email>().ok();
    let domain = email.as_ref().map_or("", |email| domain_of(email));
    let mut tx = deps.db.platform_read(ctx).await?;
    Ok(store::find_realm(&mut tx, domain).await?)
}
