//! Room `identity`: what happens at sign-in, refresh and sign-out. All of it works across tenants,
//! because who somebody is comes before where they belong; the tenant is in the audit's detail.

use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{
    Actor, Ctx, Cursor, Limit, Page, PlatformCtx, Proof, Secret, SessionId, TenantId, Timestamp,
    UserId, crypto,
};
use misy_store::{Audit, PlatformTx};
use misy_web::Peer;
use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{
    self, EndReason, Error as SessionError, Lifetimes, Method, NewRefreshToken, Origin, Pair,
    RefreshToken, Session, Verdict,
};
use super::store::{self, Listed};
use crate::accounts::model::{Belonging, Person, Standing};
use crate::accounts::store::{self as accounts_store, Bumped, Located, PLATFORM};
use crate::letters::model::Kind;
use crate::tokens::{Claims, Issuer, Subject};
use crate::{
    Deps, Error, authentication, letters, passwords, revocations, second_factors, sightings, users,
};

mod sign_in;

pub(crate) use sign_in::answer_challenge;
pub(super) use sign_in::{Login, SignedIn, login};

fn lifetimes(deps: &Deps) -> Lifetimes {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Lifetimes {
        token: seconds(deps.config.access_token_s),
        idle: seconds(deps.config.session_idle_s),
        absolute: seconds(deps.config.session_absolute_s),
    }
}

/// Somebody whom another part of this room let in: single sign-on, a link, an exchange.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The tenant that is entered.
    pub(crate) tenant: TenantId,
    /// Who enters; an active person of the tenant.
    pub(crate) user: UserId,
    /// How it was proved who they are.
    pub(crate) method: Method,
    /// Whether a second factor was shown as well, here or at the provider.
    pub(crate) second_factor: bool,
    /// What the program that signs in calls itself ([`super::http::device_of`]).
    pub(crate) device: Option<String>,
    /// Where it is.
    pub(crate) peer: Peer,
}

/// Begins a session for somebody who has proved who they are. The one way into a tenant beside the
/// password; a person who is not active there is refused like a wrong password.
pub(crate) async fn open(deps: &Deps, ctx: &PlatformCtx, opening: Opening) -> Result<Pair, Error> {
    let Opening { tenant, user, method, second_factor, device, peer } = opening;
    let mut tx = deps.db.platform(ctx).await?;
    let found = accounts_store::find_user(&mut tx, tenant, user).await?;
    let Located { standing, slug, .. } = found.ok_or(SessionError::InvalidLogin)?;
    let second_factor_at = second_factor.then(|| deps.ambient.now());
    let origin = Origin { method, device, address: address_of(peer), second_factor_at };
    let pair = begin(deps, &mut tx, standing, origin).await?;
    tx.commit().await?;
    Ok(Pair { slug, ..pair })
}

/// Ends these sessions of a tenant, because their provider says so. Gives how many there were.
pub(crate) async fn end_many(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: TenantId,
    sessions: &[Uuid],
) -> Result<usize, Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let (reason, now) = (EndReason::Provider, deps.ambient.now());
    let ended = store::end_many(&mut tx, sessions, reason, now).await?;
    revocations::store::raise_sessions(&mut tx, Some(tenant), &ended).await?;
    for (id, _) in &ended {
        let detail = json!({"tenant": tenant, "reason": reason.slug(), "by": "sso"});
        let id = SessionId::from_uuid(*id);
        tx.audit(Audit::new("session.ended", "session", id).with(detail));
    }
    tx.commit().await?;
    deps.revocations.note(&ended);
    Ok(ended.len())
}

/// The address of a caller as it is kept with the session; `None` if nobody knows it.
fn address_of(peer: Peer) -> Option<String> {
    (peer != Peer::UNKNOWN).then(|| peer.0.to_canonical().to_string())
}

async fn begin(
    deps: &Deps,
    tx: &mut PlatformTx,
    standing: Standing,
    origin: Origin,
) -> Result<Pair, Error> {
    let (now, lifetimes) = (deps.ambient.now(), lifetimes(deps));
    let expires_at = lifetimes.expires_at(now);
    let session = Session {
        id: deps.ambient.id(),
        standing,
        sv: 1,
        origin,
        created_at: now,
        used_at: now,
        idle_until: lifetimes.idle_until(now, expires_at),
        expires_at,
    };
    store::insert(tx, &session).await?;
    let mut detail = about(standing.person);
    detail["method"] = json!(session.origin.method.slug());
    tx.audit(Audit::new("session.created", "session", session.id).with(detail));
    hand_out(deps, tx, &session, None, now).await
}

pub(crate) fn about(person: Person) -> Value {
    match person {
        Person::User { tenant, user, .. } => json!({"tenant": tenant, "user": user}),
        Person::Operator(operator) | Person::Staff { operator, .. } => {
            json!({"operator": operator})
        }
    }
}

/// Makes and stores the next pair of a session.
async fn hand_out(
    deps: &Deps,
    tx: &mut PlatformTx,
    session: &Session,
    parent: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<Pair, Error> {
    let lifetimes = lifetimes(deps);
    let refresh = model::refresh_text(deps.ambient.bytes());
    let hash = model::refresh_hash(&refresh).ok_or(SessionError::InvalidRefreshToken)?;
    let access_id = deps.ambient.uuid();
    store::insert_token(tx, session.id, &NewRefreshToken { hash, parent, access_id }, now).await?;
    let subject = match session.standing.person {
        Person::User { tenant, user, role } => Subject::User { tenant, user, role },
        Person::Operator(operator) => Subject::Operator(operator),
        Person::Staff { operator, role } => Subject::Staff { operator, role },
    };
    let proof = Proof {
        second_factor_needed: second_factors::service::is_needed(deps, tx, session.standing.person)
            .await?,
        second_factor_at: session.origin.second_factor_at,
    };
    let limited = proof.second_factor_needed && proof.second_factor_at.is_none();
    let claims = Claims {
        subject,
        session: session.id,
        sv: session.sv,
        uv: session.standing.uv,
        limited,
        proof,
        id: access_id,
        issued_at: now,
        expires_at: lifetimes.token_until(now),
    };
    let access = Secret::new(deps.keys.signer()?.seal(&issuer(deps), &claims));
    let expires_in_s = lifetimes.token.as_secs();
    let idle_until = lifetimes.idle_until(now, session.expires_at);
    let refresh_in_s = idle_until.as_second().saturating_sub(now.as_second());
    Ok(Pair {
        access,
        refresh,
        session: session.id,
        expires_in_s,
        refresh_in_s: u64::try_from(refresh_in_s).unwrap_or(0),
        limited,
        slug: None,
    })
}

pub(crate) fn issuer(deps: &Deps) -> Issuer {
    Issuer { issuer: deps.config.issuer.clone(), audience: deps.config.audience.clone() }
}

/// Exchanges a refresh token for a new pair. A token that comes back after its pair was used ends
/// the session: two hold it, and one of them should not.
pub(super) async fn refresh(
    deps: &Deps,
    ctx: &PlatformCtx,
    token: &Secret,
    peer: Peer,
) -> Result<Pair, Error> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let refused = || Error::from(SessionError::InvalidRefreshToken);
    let hash = model::refresh_hash(token).ok_or_else(refused)?;
    deps.by_account.take(&format!("refresh {}", crypto::to_hex(&hash)))?;
    sightings::flush(deps).await?;
    let now = deps.ambient.now();
    let mut tx = deps.db.platform(ctx).await?;
    let found = store::lock_by_token(&mut tx, &hash).await?;
    let (session, id, token) = found.ok_or_else(refused)?;
    let alive = session.filter(|session| now < session.idle_until);
    let verdict = model::judge(&token, alive.is_some());
    match (verdict, alive) {
        (Verdict::Exchange | Verdict::ExchangeAgain, Some(session)) => {
            let pair = exchange(deps, &mut tx, &session, token, now).await?;
            tx.commit().await?;
            deps.by_address.put_back(&address);
            Ok(pair)
        }
        (Verdict::Reuse, Some(session)) => {
            let person = session.standing.person;
            end(deps, tx, Some(id), None, person, EndReason::Reuse).await?;
            Err(refused())
        }
        _ => Err(refused()),
    }
}

async fn exchange(
    deps: &Deps,
    tx: &mut PlatformTx,
    session: &Session,
    token: RefreshToken,
    now: Timestamp,
) -> Result<Pair, Error> {
    let idle_until = lifetimes(deps).idle_until(now, session.expires_at);
    store::spend(tx, &token, session, now, idle_until).await?;
    hand_out(deps, tx, session, Some(token.hash), now).await
}

/// Ends one session or all of a person, and their access tokens with them. Gives how many ended.
async fn end(
    deps: &Deps,
    mut tx: PlatformTx,
    session: Option<SessionId>,
    person: Option<Uuid>,
    whose: Person,
    reason: EndReason,
) -> Result<usize, Error> {
    let now = deps.ambient.now();
    let ended = store::end(&mut tx, session, person, reason, now).await?;
    revocations::store::raise_sessions(&mut tx, whose.tenant(), &ended).await?;
    for (id, _) in &ended {
        let mut detail = about(whose);
        detail["reason"] = json!(reason.slug());
        let id = SessionId::from_uuid(*id);
        tx.audit(Audit::new("session.ended", "session", id).with(detail));
    }
    tx.commit().await?;
    deps.revocations.note(&ended);
    Ok(ended.len())
}

fn person_of(subject: Subject) -> (Person, Uuid) {
    match subject {
        Subject::User { tenant, user, role } => (Person::User { tenant, user, role }, user.uuid()),
        Subject::Operator(operator) => (Person::Operator(operator), operator.uuid()),
        Subject::Staff { operator, role } => (Person::Staff { operator, role }, operator.uuid()),
    }
}

/// Signs out: ends the session of this token.
pub(crate) async fn logout(deps: &Deps, ctx: &PlatformCtx, claims: &Claims) -> Result<(), Error> {
    let (person, id) = person_of(claims.subject);
    let tx = deps.db.platform(ctx).await?;
    let reason = EndReason::Logout;
    end(deps, tx, Some(claims.session), Some(id), person, reason).await.map(drop)
}

/// Ends the session of a token that its holder wants nobody to use any more (RFC 7009). A token
/// that is not known is nobody's loss.
pub(super) async fn revoke_token(
    deps: &Deps,
    ctx: &PlatformCtx,
    token: &Secret,
    peer: Peer,
) -> Result<(), Error> {
    deps.by_address.take(&peer.network().0.to_string())?;
    if let Some(hash) = model::refresh_hash(token) {
        let mut tx = deps.db.platform(ctx).await?;
        let found = store::lock_by_token(&mut tx, &hash).await?;
        if let Some((Some(session), id, _)) = found {
            let person = session.standing.person;
            end(deps, tx, Some(id), None, person, EndReason::Revoked).await?;
        }
        return Ok(());
    }
    match authentication::verify(deps, token).await {
        Ok(claims) => logout(deps, ctx, &claims).await,
        Err(Error::Token(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends one of the person's sessions.
pub(super) async fn revoke(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    session: SessionId,
) -> Result<(), Error> {
    let (person, id) = person_of(claims.subject);
    let tx = deps.db.platform(ctx).await?;
    match end(deps, tx, Some(session), Some(id), person, EndReason::Revoked).await? {
        0 => Err(SessionError::NotFound.into()),
        _ => Ok(()),
    }
}

/// Ends all of the person's sessions, the present one included.
pub(super) async fn revoke_all(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
) -> Result<(), Error> {
    let (person, id) = person_of(claims.subject);
    let tx = deps.db.platform(ctx).await?;
    end(deps, tx, None, Some(id), person, EndReason::Revoked).await.map(drop)
}

/// One page of the person's sessions.
pub(super) async fn list(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Listed>, Error> {
    let (_, id) = person_of(claims.subject);
    let after = cursor.map(|cursor| cursor.0);
    let mut tx = deps.db.platform_read(ctx).await?;
    let rows = store::list(&mut tx, id, deps.ambient.now(), after, limit.fetch()).await?;
    Ok(Page::cut(rows, limit, |session| session.id))
}

fn realm_of(person: Person) -> Uuid {
    person.tenant().map_or(PLATFORM, TypedId::uuid)
}

/// Who the caller is now, with their address; `None` if they may not sign in any more.
pub(crate) async fn locate(tx: &mut PlatformTx, claims: &Claims) -> Result<Option<Located>, Error> {
    Ok(match claims.subject {
        Subject::User { tenant, user, .. } => accounts_store::find_user(tx, tenant, user).await?,
        Subject::Operator(_) | Subject::Staff { .. } => {
            match store::find_account(tx, claims.session).await? {
                Some((account, _)) => accounts_store::find_in_realm(tx, account, PLATFORM).await?,
                None => None,
            }
        }
    })
}

/// Compares with the person's present password and gives their address. Whoever has no password,
/// because another one vouches for them, need not show one and gets nothing.
pub(crate) async fn check_password(
    deps: &Deps,
    ctx: &PlatformCtx,
    standing: &Standing,
    current: Option<&Secret>,
) -> Result<Option<String>, Error> {
    let name = standing.person.uuid().to_string();
    deps.by_account.take(&name)?;
    let found = {
        let mut tx = deps.db.platform_read(ctx).await?;
        let realm = realm_of(standing.person);
        accounts_store::find_credential(&mut tx, standing.account, realm).await?
    };
    let Some((email, hash)) = found else { return Ok(None) };
    let current = current.ok_or(SessionError::WrongPassword)?;
    if deps.hasher.find_matches(&email, current, &[&hash]).await?.is_empty() {
        return Err(SessionError::WrongPassword.into());
    }
    deps.by_account.put_back(&name);
    Ok(Some(email))
}

/// Changes the person's own password. Every session of theirs in this tenant ends; a new one
/// begins, so that whoever knows the password stays signed in and whoever only had a token does
/// not.
pub(super) async fn change_password(
    deps: &Deps,
    ctx: &PlatformCtx,
    claims: &Claims,
    current: Secret,
    new: Secret,
) -> Result<Pair, Error> {
    let (person, id) = person_of(claims.subject);
    let (account, origin) = {
        let mut tx = deps.db.platform_read(ctx).await?;
        store::find_account(&mut tx, claims.session).await?.ok_or(SessionError::NotFound)?
    };
    let realm = realm_of(person);
    let standing = Standing { account, person, uv: claims.uv, era: 0 };
    let email = check_password(deps, ctx, &standing, Some(&current)).await?;
    let email = email.ok_or(SessionError::WrongPassword)?;
    passwords::model::check(&new, &[&email], "/new_password")?;
    let hash = deps.hasher.hash(&email, &new).await?;
    let mut tx = deps.db.platform(ctx).await?;
    let now = deps.ambient.now();
    let bumped = accounts_store::change_password(&mut tx, account, realm, &hash, now, None);
    let Bumped { uv, era } = bumped.await?.ok_or(SessionError::WrongPassword)?;
    let ended = store::end(&mut tx, None, Some(id), EndReason::Password, now).await?;
    revocations::store::raise_person(&mut tx, person.tenant(), id, uv).await?;
    let standing = Standing { account, person, uv, era };
    let pair = begin(deps, &mut tx, standing, origin).await?;
    letters::service::write(deps, &mut tx, Kind::PasswordChanged, &standing).await?;
    let detail = json!({"sessions_ended": ended.len()});
    tx.audit(Audit::new("password.changed", "account", account).with(detail));
    tx.commit().await?;
    deps.revocations.note(&[(id, uv)]);
    Ok(pair)
}

/// Who the caller is, as they may know it.
pub(super) enum Me {
    User { user: users::model::User, slug: Option<String>, belongings: Vec<Belonging> },
    ApiKey { id: misy_core::ApiKeyId, name: String, slug: Option<String> },
    Operator { id: misy_core::OperatorId, email: String },
}

/// The caller inside a tenant.
pub(super) async fn me_in_tenant(deps: &Deps, ctx: &Ctx) -> Result<Me, Error> {
    let mut tx = deps.db.read(ctx).await?;
    let slug = accounts_store::find_slug(&mut tx).await?;
    match ctx.actor() {
        Actor::User(id) | Actor::Impersonator { user: id, .. } => {
            let user = users::store::find(&mut tx, id).await?;
            let user = user.ok_or(SessionError::NotFound)?;
            let belongings = belongings(deps, ctx, user.id).await?;
            Ok(Me::User { user, slug, belongings })
        }
        Actor::ApiKey(id) => {
            let key = crate::api_keys::store::find(&mut tx, id).await?;
            let name = key.ok_or(SessionError::NotFound)?.name;
            Ok(Me::ApiKey { id, name, slug })
        }
        Actor::Operator(_) | Actor::Channel | Actor::System => Err(SessionError::NotFound.into()),
    }
}

/// Every tenant of a person who showed that the address is theirs. Beyond this tenant, so it is
/// read by the program itself, and is the person's own.
async fn belongings(deps: &Deps, ctx: &Ctx, user: UserId) -> Result<Vec<Belonging>, Error> {
    let mut tx = deps.db.platform_read(&deps.system).await?;
    Ok(accounts_store::list_belongings(&mut tx, ctx.tenant(), user).await?)
}

/// The caller on the platform.
pub(super) async fn me_on_platform(deps: &Deps, ctx: &PlatformCtx) -> Result<Me, Error> {
    let Actor::Operator(id) = ctx.actor() else { return Err(SessionError::NotFound.into()) };
    let mut tx = deps.db.platform_read(ctx).await?;
    let email = accounts_store::find_operator_email(&mut tx, id).await?;
    Ok(Me::Operator { id, email: email.ok_or(SessionError::NotFound)? })
}

/// Spent refresh tokens are kept this long to notice their reuse, ended sessions to be looked at.
const KEPT_S: i64 = 24 * 3_600;

/// Removes what is over: sessions, refresh tokens, revocations, addresses nobody uses.
pub(super) async fn sweep(deps: &Deps, ctx: &PlatformCtx) -> Result<(), Error> {
    let now = deps.ambient.now();
    let before = Timestamp::from_second(now.as_second() - KEPT_S).unwrap_or(now);
    let mut tx = deps.db.platform(ctx).await?;
    store::sweep(&mut tx, before).await?;
    letters::store::sweep(&mut tx, before).await?;
    revocations::store::sweep(&mut tx, deps.revocations.keep_from()).await?;
    accounts_store::sweep_unused(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
