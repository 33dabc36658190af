//! Room `identity`: setting a second factor up, showing it, removing it, demanding it.

use misy_core::crypto::{self, Place};
use misy_core::id::TypedId;
use misy_core::{
    Ctx, Permission, PlatformCtx, Role, Secret, SessionId, TenantId, Timestamp, UserId,
};
use misy_store::{Audit, PlatformTx};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::model::{self, Error as FactorError, Factor, RECOVERY_BYTES, SEED_BYTES, Typed};
use super::store::{self, Owner};
use crate::accounts::model::{Person, Standing};
use crate::accounts::store::{Located, PLATFORM};
use crate::letters::model::Kind;
use crate::roles::model::within;
use crate::sessions::model::Error as SessionError;
use crate::tokens::Claims;
use crate::users::model::Error as UserError;
use crate::{Deps, Error, attempts, letters, revocations, roles, sessions, users};

/// Whose second factor goes with this standing.
pub(crate) fn owner(standing: &Standing) -> Owner {
    let realm = standing.person.tenant().map_or(PLATFORM, TypedId::uuid);
    Owner { account: standing.account, realm }
}

fn place(owner: Owner, id: Uuid) -> Place<'static> {
    let tenant = TenantId::from_uuid(owner.realm);
    Place { tenant, table: "second_factors", column: "sealed_seed", row: id }
}

/// Whether a person needs a second factor where they are.
pub(crate) async fn is_needed(
    deps: &Deps,
    tx: &mut PlatformTx,
    person: Person,
) -> Result<bool, Error> {
    match person {
        Person::Operator(_) | Person::Staff { .. } => Ok(deps.config.operators_need_second_factor),
        Person::User { tenant, user, role } => {
            Ok(store::is_needed(tx, tenant.uuid(), user.uuid(), role.slug()).await?)
        }
    }
}

/// Whether a person has a second factor that works.
pub(crate) async fn is_set_up(tx: &mut PlatformTx, owner: Owner) -> Result<bool, Error> {
    let found = store::find(tx, owner).await?;
    Ok(found.is_some_and(|factor| factor.confirmed_at.is_some()))
}

/// How a code proved right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The generator's code.
    Code,
    /// One of the codes for whoever lost it.
    RecoveryCode,
}

/// Looks at a code. A wrong one is counted, and that is committed here; a right one is used up in
/// the transaction that is given back.
pub(crate) async fn show(
    deps: &Deps,
    mut tx: PlatformTx,
    owner: Owner,
    code: &Secret,
    confirming: bool,
) -> Result<(PlatformTx, Shown), Error> {
    let now = deps.ambient.now();
    let factor = store::lock(&mut tx, owner).await?.ok_or(FactorError::NotSetUp)?;
    if factor.confirmed_at.is_some() == confirming {
        let other = if confirming { FactorError::AlreadySetUp } else { FactorError::NotSetUp };
        return Err(other.into());
    }
    if let Some(retry_after_ms) = factor.waits_ms(now) {
        return Err(attempts::Error { retry_after_ms }.into());
    }
    if let Some(shown) = take(deps, &mut tx, owner, &factor, code, now).await? {
        return Ok((tx, shown));
    }
    store::fail(&mut tx, owner, factor.wait_after_failure(now)).await?;
    tx.commit().await?;
    Err(FactorError::InvalidCode.into())
}

async fn take(
    deps: &Deps,
    tx: &mut PlatformTx,
    owner: Owner,
    factor: &Factor,
    code: &Secret,
    now: Timestamp,
) -> Result<Option<Shown>, Error> {
    let taken = match model::read(code) {
        None => None,
        Some(Typed::Recovery(hash)) => {
            store::take_code(tx, owner, &hash).await?.then_some(Shown::RecoveryCode)
        }
        Some(Typed::Code(code)) => {
            let seed =
                crypto::open(&deps.factor_key, &place(owner, factor.id), &factor.sealed_seed)
                    .map_err(|_| FactorError::Unreadable)?;
            match model::find_step(&seed, code, now, factor.last_step) {
                Some(step) => store::take_step(tx, owner, step, now).await?.then_some(Shown::Code),
                None => None,
            }
        }
    };
    Ok(taken)
}

/// What a person may know of their second factor.
pub(super) struct Status {
    pub(super) confirmed_at: Option<Timestamp>,
    pub(super) recovery_codes_left: i64,
    pub(super) needed: bool,
}

/// The caller's second factor.
pub(super) async fn status(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
) -> Result<Status, Error> {
    let mut tx = deps.db.platform_read(ctx).await?;
    let Located { standing, .. } = caller(&mut tx, claims).await?;
    let found = store::find(&mut tx, owner(&standing)).await?;
    let needed = is_needed(deps, &mut tx, standing.person).await?;
    let confirmed = found.filter(|factor| factor.confirmed_at.is_some());
    Ok(Status {
        confirmed_at: confirmed.as_ref().and_then(|factor| factor.confirmed_at),
        recovery_codes_left: confirmed.map_or(0, |factor| factor.recovery_codes_left),
        needed,
    })
}

async fn caller(tx: &mut PlatformTx, claims: &Claims) -> Result<Located, Error> {
    let found = sessions::service::locate(tx, claims).await?;
    Ok(found.ok_or(SessionError::NotFound)?)
}

/// A generator to be set up: shown once.
pub(super) struct Enrolment {
    pub(super) secret: Secret,
    pub(super) uri: Secret,
}

/// Begins to set up a generator. It guards nothing until a code of it was shown. Whoever has a
/// password shows it, so that a stolen token locks nobody out.
pub(super) async fn enrol(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    password: Option<&Secret>,
) -> Result<Enrolment, Error> {
    let Located { standing, email, slug } = {
        let mut tx = deps.db.platform_read(ctx).await?;
        caller(&mut tx, claims).await?
    };
    sessions::service::check_password(deps, ctx, &standing, password).await?;
    let (owner, id) = (owner(&standing), deps.ambient.uuid());
    let seed = Zeroizing::new(deps.ambient.bytes::<SEED_BYTES>());
    let nonce = deps.ambient.bytes();
    let sealed = crypto::seal(&deps.factor_key, 1, &place(owner, id), nonce, &seed[..]);
    let mut tx = deps.db.platform(ctx).await?;
    if !store::save(&mut tx, owner, id, &sealed, deps.ambient.now()).await? {
        return Err(FactorError::AlreadySetUp.into());
    }
    tx.commit().await?;
    let issuer = slug.map_or_else(|| "MisyBot".to_owned(), |slug| format!("MisyBot {slug}"));
    let secret = Secret::new(model::seed_text(&seed[..]));
    Ok(Enrolment { secret, uri: Secret::new(model::uri(&issuer, &email, &seed[..])) })
}

/// Confirms the generator by its first code and gives recovery codes, which are shown once. The
/// session counts as one with a second factor from now on.
pub(super) async fn confirm(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    code: &Secret,
) -> Result<Vec<Secret>, Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let Located { standing, .. } = caller(&mut tx, claims).await?;
    let (mut tx, _) = show(deps, tx, owner(&standing), code, true).await?;
    let codes = make_codes(deps, &mut tx, owner(&standing)).await?;
    mark(deps, &mut tx, claims.session).await?;
    letters::service::write(deps, &mut tx, Kind::FactorAdded, &standing).await?;
    tx.audit(audit("second_factor.added", &standing));
    tx.commit().await?;
    Ok(codes)
}

fn audit(action: &'static str, standing: &Standing) -> Audit {
    let detail = sessions::service::about(standing.person);
    Audit::new(action, "account", standing.account).with(detail)
}

async fn mark(deps: &Deps, tx: &mut PlatformTx, session: SessionId) -> Result<(), Error> {
    Ok(sessions::store::mark_second_factor(tx, session, deps.ambient.now()).await?)
}

async fn make_codes(deps: &Deps, tx: &mut PlatformTx, owner: Owner) -> Result<Vec<Secret>, Error> {
    let codes: Vec<[u8; RECOVERY_BYTES]> =
        (0..model::RECOVERY_CODES).map(|_| deps.ambient.bytes()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(model::recovery_hash).collect();
    store::replace_codes(tx, owner, &hashes).await?;
    Ok(codes.iter().map(|code| Secret::new(model::recovery_text(code))).collect())
}

/// Shows the second factor in a session that began without it: from the next refresh on its tokens
/// let do what the role may.
pub(super) async fn step_up(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    code: &Secret,
) -> Result<(), Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let Located { standing, .. } = caller(&mut tx, claims).await?;
    let (mut tx, shown) = show(deps, tx, owner(&standing), code, false).await?;
    note_recovery(deps, &mut tx, &standing, shown).await?;
    mark(deps, &mut tx, claims.session).await?;
    tx.commit().await?;
    Ok(())
}

/// Tells the person that a recovery code was used.
pub(crate) async fn note_recovery(
    deps: &Deps,
    tx: &mut PlatformTx,
    standing: &Standing,
    shown: Shown,
) -> Result<(), Error> {
    if shown == Shown::Code {
        return Ok(());
    }
    tx.audit(audit("second_factor.recovery_code_used", standing));
    letters::service::write(deps, tx, Kind::RecoveryCodeUsed, standing).await
}

/// Makes new recovery codes; the old ones stop working.
pub(super) async fn renew_codes(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    code: &Secret,
) -> Result<Vec<Secret>, Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let Located { standing, .. } = caller(&mut tx, claims).await?;
    let (mut tx, _) = show(deps, tx, owner(&standing), code, false).await?;
    let codes = make_codes(deps, &mut tx, owner(&standing)).await?;
    tx.audit(audit("second_factor.codes_renewed", &standing));
    tx.commit().await?;
    Ok(codes)
}

/// Removes the second factor, unless the role needs one.
pub(super) async fn disable(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    code: &Secret,
) -> Result<(), Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let Located { standing, .. } = caller(&mut tx, claims).await?;
    if is_needed(deps, &mut tx, standing.person).await? {
        return Err(FactorError::Needed.into());
    }
    let (mut tx, _) = show(deps, tx, owner(&standing), code, false).await?;
    store::delete(&mut tx, owner(&standing)).await?;
    letters::service::write(deps, &mut tx, Kind::FactorRemoved, &standing).await?;
    tx.audit(audit("second_factor.removed", &standing));
    tx.commit().await?;
    Ok(())
}

/// Removes the second factor of a person who lost it and the recovery codes too, by an
/// administrator. Every session of theirs ends.
pub(super) async fn reset(deps: &Deps, ctx: &Ctx, id: UserId) -> Result<(), Error> {
    ctx.require(Permission::UserManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let user = users::store::lock(&mut tx, id).await?.ok_or(UserError::NotFound)?;
    deps.policies.require(ctx, Permission::UserManage, &users::service::about(&user)).await?;
    let book = roles::store::book(&mut tx).await?;
    within(ctx.grants(), user.grants(&book))?;
    if !store::delete_inside(&mut tx, user.account).await? {
        return Err(FactorError::NotSetUp.into());
    }
    let uv = users::store::update_membership(&mut tx, &user, true).await?;
    let uv = uv.ok_or(UserError::NotFound)?;
    revocations::store::raise_user(&mut tx, id, uv).await?;
    tx.audit(Audit::new("second_factor.reset", "user", id));
    tx.commit().await?;
    deps.revocations.note(&[(id.uuid(), uv)]);
    Ok(())
}

/// The roles that need a second factor.
pub(super) async fn needing(deps: &Deps, ctx: &Ctx) -> Result<Vec<String>, Error> {
    ctx.require(Permission::TenantRead)?;
    let mut tx = deps.db.read(ctx).await?;
    Ok(store::list_needing(&mut tx).await?)
}

/// Says which built-in roles need a second factor; whoever has a role of the tenant's own needs one
/// if the built-in role that it inherits from does. Everybody who has one of the new ones gets
/// tokens that are judged anew within a second, also in sessions that run.
pub(super) async fn demand(
    deps: &Deps,
    ctx: &Ctx,
    mut roles: Vec<String>,
) -> Result<Vec<String>, Error> {
    ctx.require(Permission::TenantUpdate)?;
    if roles.iter().any(|role| role == Role::Owner.slug()) {
        ctx.require(Permission::OwnerManage)?;
    }
    roles.sort();
    roles.dedup();
    let mut tx = deps.db.tenant(ctx).await?;
    let new = store::save_rules(&mut tx, &roles).await?;
    if store::list_needing(&mut tx).await? != roles {
        return Err(FactorError::UnknownRole.into());
    }
    let raised = store::raise_holders(&mut tx, &new).await?;
    revocations::store::raise_users(&mut tx, &raised).await?;
    let audit = Audit::new("second_factor.demanded", "tenant", ctx.tenant());
    tx.audit(audit.with(json!({"roles": roles})));
    tx.commit().await?;
    deps.revocations.note(&raised);
    Ok(roles)
}
