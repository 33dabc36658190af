//! Room `tenancy`: from a stranger's wish to a tenant that works.

use jiff::SignedDuration;
use misy_core::crypto::{Place, open, seal};
use misy_core::id::TypedId;
use misy_core::{Cursor, Limit, Page, Permission, PlatformCtx, Secret, SignupId, TenantId};
use misy_jobs::PlatformJob;
use misy_jobs::provision::{Owner, StepError, TenantSeed};
use misy_store::{Audit, PlatformTx};
use misy_web::Peer;

use super::jobs::Send;
use super::model::{self, About, Error, NewSignup, Signup, Status};
use super::store;
use crate::tenants::model::Status as TenantStatus;
use crate::tenants::model::{Brand, Error as TenantError, NewOwner, NewTenant, Placement};
use crate::tenants::service::Begun;
use crate::{Deps, tenants};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Somebody asks for a tenant. What is answered does not depend on whether their address is known.
pub async fn begin(
    deps: &Deps,
    ctx: &PlatformCtx,
    asked: NewSignup,
    from: Peer,
) -> Result<(), Error> {
    ensure_open(deps)?;
    let front = &deps.front;
    let faults = tenants::model::check_new(&wanted(&asked, &front.config.plan, None));
    if !faults.is_empty() {
        return Err(TenantError::Invalid(faults).into());
    }
    let now = deps.ambient.now();
    let peer = model::digest(&front.key, &from.network().0.to_string());
    let mut tx = deps.db.platform(ctx).await?;
    store::lock_all(&mut tx).await?;
    let (by_peer, by_email) = store::count(&mut tx, &peer, &asked.email.0, now - HOUR).await?;
    if by_peer >= i64::from(front.config.per_address) {
        return Err(Error::Limited);
    }
    if store::is_taken(&mut tx, &asked.slug).await? {
        return Err(TenantError::SlugTaken.into());
    }
    let signup = Signup {
        id: deps.ambient.id(),
        asked,
        plan: front.config.plan.clone(),
        status: Status::Pending,
        nonce: deps.ambient.bytes::<16>().to_vec(),
        seed: None,
        tenant: None,
        reason: None,
        created_at: now,
        expires_at: now + SignedDuration::from_secs(front.config.link_s.into()),
        verified_at: None,
        decided_at: None,
    };
    store::insert(&mut tx, &signup, &peer).await?;
    if by_email < i64::from(front.config.per_email) {
        Send { signup: signup.id, about: About::Address }.enqueue(&mut tx);
    }
    Ok(tx.commit().await?)
}

fn ensure_open(deps: &Deps) -> Result<(), Error> {
    if deps.front.config.enabled { Ok(()) } else { Err(Error::Closed) }
}

/// The link comes back with a password. The first time, the tenant is made, or an operator is
/// asked; after that it is told how far that is, and nothing is done again.
pub async fn verify(
    deps: &Deps,
    ctx: &PlatformCtx,
    link: &Secret,
    password: Secret,
    slug: Option<String>,
) -> Result<Signup, Error> {
    ensure_open(deps)?;
    let id = SignupId::from_uuid(model::named(link).ok_or(Error::Link)?);
    let is_good = |found: &Signup| {
        model::is_link_of(link, &deps.front.key, id.uuid(), &found.nonce)
            && found.is_open(deps.ambient.now())
    };
    let mut tx = deps.db.platform_read(ctx).await?;
    let found = store::find(&mut tx, id).await?.filter(is_good).ok_or(Error::Link)?;
    drop(tx);
    if found.status != Status::Pending {
        return Ok(found);
    }
    check_password(deps, &found, &password).await?;
    let mut tx = deps.db.platform(ctx).await?;
    let mut signup = store::lock(&mut tx, id).await?.filter(is_good).ok_or(Error::Link)?;
    // Of many at once, one gets here first; the others are told what it has done.
    if signup.status != Status::Pending {
        return Ok(signup);
    }
    signup.verified_at = Some(deps.ambient.now());
    signup.asked.slug = slug.unwrap_or(signup.asked.slug);
    tx.audit(Audit::new("signup.verified", "signup", id));
    if !deps.front.config.approval {
        let begun = accept(deps, &mut tx, &mut signup, password).await?;
        tx.commit().await?;
        return finish(deps, ctx, signup, begun).await;
    }
    if store::is_taken(&mut tx, &signup.asked.slug).await? {
        return Err(TenantError::SlugTaken.into());
    }
    let faults = tenants::model::check_new(&wanted(&signup.asked, &signup.plan, None));
    if !faults.is_empty() {
        return Err(TenantError::Invalid(faults).into());
    }
    signup.status = Status::Waiting;
    signup.seed = Some(seal_password(deps, id, &password));
    store::update(&mut tx, &signup).await?;
    tx.commit().await?;
    Ok(signup)
}

/// Has those parts of provisioning that judge an owner do so, so that nobody is accepted whose
/// tenant cannot be made, and the link still works for a better password.
async fn check_password(deps: &Deps, signup: &Signup, password: &Secret) -> Result<(), Error> {
    let owner = Owner {
        email: signup.asked.email.clone(),
        name: signup.asked.owner_name.clone(),
        password: Some(password.clone()),
    };
    let seed = TenantSeed {
        id: TenantId::from_uuid(signup.id.uuid()),
        slug: signup.asked.slug.clone(),
        site_id: String::new(),
        name: signup.asked.name.clone(),
        locale: signup.asked.locale.clone(),
        time_zone: signup.asked.time_zone.clone(),
        plan: signup.plan.clone(),
        limits: serde_json::Value::Null,
        starter: serde_json::Value::Null,
        owner,
    };
    for part in &deps.parts {
        match part.prepare(&seed).await {
            Ok(_) => {}
            Err(StepError::Impossible { faults, source }) => {
                return Err(TenantError::Impossible { step: part.name(), faults, source }.into());
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a sign-up must wait");
                return Err(Error::Unfinished);
            }
        }
    }
    Ok(())
}

fn wanted(asked: &NewSignup, plan: &str, password: Option<Secret>) -> NewTenant {
    NewTenant {
        slug: asked.slug.clone(),
        name: asked.name.clone(),
        owner: NewOwner { email: asked.email.clone(), name: asked.owner_name.clone(), password },
        plan: plan.to_owned(),
        locale: asked.locale.clone(),
        time_zone: asked.time_zone.clone(),
        business: serde_json::Map::new(),
        allowed_origins: Vec::new(),
        brand: Brand::default(),
        contacts: Vec::new(),
        placement: Placement::default(),
    }
}

/// Enters the tenant in the transaction that accepts the sign-up: either both are there, or none.
async fn accept(
    deps: &Deps,
    tx: &mut PlatformTx,
    signup: &mut Signup,
    password: Secret,
) -> Result<Begun, Error> {
    let id = deps.ambient.id();
    let new = wanted(&signup.asked, &signup.plan, Some(password));
    let begun = tenants::service::begin(deps, tx, id, new).await?;
    signup.status = Status::Accepted;
    signup.tenant = Some(id);
    signup.decided_at = Some(deps.ambient.now());
    store::update(tx, signup).await?;
    Ok(begun)
}

/// Makes the tenant. If that is impossible the sign-up is as it was before.
async fn finish(
    deps: &Deps,
    ctx: &PlatformCtx,
    signup: Signup,
    begun: Begun,
) -> Result<Signup, Error> {
    match Box::pin(begun.finish(deps, ctx)).await {
        // What is unfinished goes on by itself.
        Ok(_) | Err(TenantError::Unfinished { .. }) => Ok(signup),
        Err(error) => {
            let mut tx = deps.db.platform(ctx).await?;
            store::reopen(&mut tx, Some(signup.id)).await?;
            tx.commit().await?;
            Err(error.into())
        }
    }
}

fn place(id: SignupId) -> Place<'static> {
    let uuid = id.uuid();
    Place { tenant: TenantId::from_uuid(uuid), table: "signups", column: "seed", row: uuid }
}

fn seal_password(deps: &Deps, id: SignupId, password: &Secret) -> Vec<u8> {
    let key = deps.front.key.derive("passwords");
    seal(&key, 1, &place(id), deps.ambient.bytes(), password.expose().as_bytes())
}

fn open_password(deps: &Deps, signup: &Signup) -> Result<Secret, Error> {
    let corrupt = || misy_store::Error::Corrupt { column: "seed" };
    let sealed = signup.seed.as_deref().ok_or_else(corrupt)?;
    let key = deps.front.key.derive("passwords");
    let bytes = open(&key, &place(signup.id), sealed).map_err(|_| corrupt())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| corrupt())?;
    Ok(Secret::new(text))
}

/// One page of all sign-ups, oldest first.
pub async fn list(
    deps: &Deps,
    ctx: &PlatformCtx,
    status: Option<Status>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Signup>, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    let rows = store::list(&mut tx, status, cursor, limit).await?;
    Ok(Page::cut(rows, limit, |signup| signup.id))
}

/// One sign-up.
pub async fn get(deps: &Deps, ctx: &PlatformCtx, id: SignupId) -> Result<Signup, Error> {
    ctx.require(Permission::PlatformTenantRead)?;
    let mut tx = deps.db.platform_read(ctx).await?;
    store::find(&mut tx, id).await?.ok_or(Error::NotFound)
}

/// An operator says yes: the tenant is made, and the person is told.
pub async fn approve(deps: &Deps, ctx: &PlatformCtx, id: SignupId) -> Result<Signup, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let mut signup = lock_waiting(&mut tx, id).await?;
    let password = open_password(deps, &signup)?;
    let begun = accept(deps, &mut tx, &mut signup, password).await?;
    Send { signup: id, about: About::Acceptance }.enqueue(&mut tx);
    tx.audit(Audit::new("signup.approved", "signup", id));
    tx.commit().await?;
    let done = finish(deps, ctx, signup, begun).await?;
    let mut tx = deps.db.platform(ctx).await?;
    store::forget_seeds(&mut tx).await?;
    tx.commit().await?;
    Ok(done)
}

async fn lock_waiting(tx: &mut PlatformTx, id: SignupId) -> Result<Signup, Error> {
    let found = store::lock(tx, id).await?.ok_or(Error::NotFound)?;
    if found.status == Status::Waiting { Ok(found) } else { Err(Error::NotWaiting(found.status)) }
}

/// An operator says no, and the person is told why.
pub async fn reject(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SignupId,
    reason: String,
) -> Result<Signup, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let mut tx = deps.db.platform(ctx).await?;
    let before = lock_waiting(&mut tx, id).await?;
    let signup = Signup {
        status: Status::Rejected,
        seed: None,
        reason: Some(reason),
        decided_at: Some(deps.ambient.now()),
        ..before
    };
    store::update(&mut tx, &signup).await?;
    Send { signup: id, about: About::Rejection }.enqueue(&mut tx);
    tx.audit(Audit::new("signup.rejected", "signup", id));
    tx.commit().await?;
    Ok(signup)
}

/// Sends a letter, unless what it says is not so any more.
pub(super) async fn send(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: SignupId,
    about: About,
) -> Result<(), Error> {
    let now = deps.ambient.now();
    let mut tx = deps.db.platform_read(ctx).await?;
    let Some(signup) = store::find(&mut tx, id).await? else { return Ok(()) };
    drop(tx);
    let is_so = match about {
        About::Address => signup.status == Status::Pending && signup.is_open(now),
        About::Acceptance => signup.status == Status::Accepted,
        About::Rejection => signup.status == Status::Rejected,
    };
    if !is_so {
        return Ok(());
    }
    if let (About::Acceptance, Some(tenant)) = (about, signup.tenant) {
        let tenant = tenants::service::load(deps, ctx, tenant).await?;
        if tenant.status == TenantStatus::Provisioning {
            return Err(Error::Unfinished);
        }
    }
    let mail = model::compose(about, &signup, &deps.front, now);
    Ok(deps.front.mailer.send(&mail).await?)
}

/// Drops what nobody needs, and opens again what became a tenant that could not be made.
pub(super) async fn sweep(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Error> {
    let now = deps.ambient.now();
    let decided = now - SignedDuration::from_secs(deps.front.config.kept_s.into());
    let mut tx = deps.db.platform(ctx).await?;
    store::reopen(&mut tx, None).await?;
    store::forget_seeds(&mut tx).await?;
    store::sweep(&mut tx, now, decided).await?;
    Ok(tx.commit().await?)
}
