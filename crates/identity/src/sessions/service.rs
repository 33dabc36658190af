//! Room `identity`: what happens at sign-in, refresh and sign-out. All of it works across tenants,
//! because who somebody is comes before where they belong; the tenant is in the audit's detail.

use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{
    Actor, Ctx, Cursor, Limit, Page, PlatformCtx, Secret, SessionId, TenantId, Timestamp,
};
use misy_store::{Audit, PlatformTx};
use misy_web::Peer;
use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{
    self, EndReason, Error as SessionError, Lifetimes, NewRefreshToken, Pair, RefreshToken,
    Session, Verdict,
};
use super::store::{self, Listed};
use crate::accounts::Email;
use crate::accounts::model::{Choice, Credential, Person, Standing, choose};
use crate::accounts::store::{self as accounts_store, Bumped, PLATFORM};
use crate::tokens::{Claims, Issuer, Subject};
use crate::{Deps, Error, exchanges, passwords, revocations, sightings, users};

/// A try to sign in.
pub(super) struct Login {
    pub(super) email: String,
    pub(super) password: Secret,
    pub(super) tenant: Option<String>,
    pub(super) device: Option<String>,
    pub(super) peer: Peer,
}

fn lifetimes(deps: &Deps) -> Lifetimes {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Lifetimes {
        token: seconds(deps.config.access_token_s),
        idle: seconds(deps.config.session_idle_s),
        absolute: seconds(deps.config.session_absolute_s),
    }
}

/// Signs in. Every wrong try gets the same answer after the same work: one look-up, one hash.
pub(super) async fn login(deps: &Deps, ctx: &PlatformCtx, login: Login) -> Result<Pair, Error> {
    let address = login.peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let Ok(email) = login.email.parse::<Email>() else {
        deps.hasher.find_matches(&login.email, &login.password, &[]).await?;
        return Err(SessionError::InvalidLogin.into());
    };
    deps.by_account.take(email.as_str())?;
    let mut credentials = {
        let mut tx = deps.db.platform_read(ctx).await?;
        accounts_store::list_credentials(&mut tx, &email).await?
    };
    let hashes: Vec<&str> = credentials.iter().map(|one| one.hash.as_str()).collect();
    let matches = deps.hasher.find_matches(email.as_str(), &login.password, &hashes).await?;
    let proved: Vec<Credential> =
        matches.into_iter().rev().map(|at| credentials.swap_remove(at)).collect();
    let reach = exchanges::model::reach_of(&proved);
    let (standing, slug) = match choose(proved, login.tenant.as_deref()) {
        Choice::Enter(standing, slug) => (standing, slug),
        Choice::Which(slugs) => return Err(SessionError::TenantChoiceNeeded(slugs).into()),
        Choice::Nothing => return Err(SessionError::InvalidLogin.into()),
    };
    deps.by_address.put_back(&address);
    deps.by_account.put_back(email.as_str());
    let mut tx = deps.db.platform(ctx).await?;
    let pair = begin(deps, &mut tx, standing, login.device).await?;
    exchanges::store::note_reach(&mut tx, pair.session, &reach).await?;
    tx.commit().await?;
    Ok(Pair { slug, ..pair })
}

/// Opens a session for a person whom something else than a password has proved.
pub(crate) async fn open(
    deps: &Deps,
    ctx: &PlatformCtx,
    standing: Standing,
    device: Option<String>,
) -> Result<Pair, Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let pair = begin(deps, &mut tx, standing, device).await?;
    tx.commit().await?;
    Ok(pair)
}

/// Ends these sessions of a tenant, because their provider says so. Gives how many there were.
pub(crate) async fn end_many(
    deps: &Deps,
    ctx: &PlatformCtx,
    tenant: TenantId,
    sessions: &[Uuid],
) -> Result<usize, Error> {
    let mut tx = deps.db.platform(ctx).await?;
    let (reason, now) = (EndReason::Logout, deps.ambient.now());
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

async fn begin(
    deps: &Deps,
    tx: &mut PlatformTx,
    standing: Standing,
    device: Option<String>,
) -> Result<Pair, Error> {
    let (now, lifetimes) = (deps.ambient.now(), lifetimes(deps));
    let expires_at = lifetimes.expires_at(now);
    let session = Session {
        id: deps.ambient.id(),
        standing,
        sv: 1,
        device,
        created_at: now,
        used_at: now,
        idle_until: lifetimes.idle_until(now, expires_at),
        expires_at,
    };
    store::insert(tx, &session).await?;
    let detail = about(standing.person);
    tx.audit(Audit::new("session.created", "session", session.id).with(detail));
    hand_out(deps, tx, &session, None, now).await
}

fn about(person: Person) -> Value {
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
    let claims = Claims {
        subject,
        session: session.id,
        sv: session.sv,
        uv: session.standing.uv,
        id: access_id,
        issued_at: now,
        expires_at: lifetimes.token_until(now),
    };
    let access = Secret::new(deps.keys.signer()?.seal(&issuer(deps), &claims));
    let expires_in_s = lifetimes.token.as_secs();
    Ok(Pair { access, refresh, session: session.id, expires_in_s, slug: None })
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
    let realm = person.tenant().map_or(PLATFORM, TypedId::uuid);
    let name = id.to_string();
    deps.by_account.take(&name)?;
    let (account, email, hash) = {
        let mut tx = deps.db.platform_read(ctx).await?;
        let account = store::find_account(&mut tx, claims.session).await?;
        let account = account.ok_or(SessionError::NotFound)?;
        let found = accounts_store::find_credential(&mut tx, account, realm).await?;
        let (email, hash) = found.ok_or(SessionError::WrongPassword)?;
        (account, email, hash)
    };
    if deps.hasher.find_matches(&email, &current, &[&hash]).await?.is_empty() {
        return Err(SessionError::WrongPassword.into());
    }
    deps.by_account.put_back(&name);
    passwords::model::check(&new, &[&email], "/new_password")?;
    let hash = deps.hasher.hash(&email, &new).await?;
    let mut tx = deps.db.platform(ctx).await?;
    let now = deps.ambient.now();
    let bumped = accounts_store::change_password(&mut tx, account, realm, &hash, now).await?;
    let Bumped { uv, era } = bumped.ok_or(SessionError::WrongPassword)?;
    let ended = store::end(&mut tx, None, Some(id), EndReason::Password, now).await?;
    revocations::store::raise_person(&mut tx, person.tenant(), id, uv).await?;
    let pair = begin(deps, &mut tx, Standing { account, person, uv, era }, None).await?;
    let detail = json!({"sessions_ended": ended.len()});
    tx.audit(Audit::new("password.changed", "account", account).with(detail));
    tx.commit().await?;
    deps.revocations.note(&[(id, uv)]);
    Ok(pair)
}

/// Who the caller is, as they may know it.
pub(super) enum Me {
    User { user: users::model::User, slug: Option<String> },
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
            Ok(Me::User { user: user.ok_or(SessionError::NotFound)?, slug })
        }
        Actor::ApiKey(id) => {
            let key = crate::api_keys::store::find(&mut tx, id).await?;
            let name = key.ok_or(SessionError::NotFound)?.name;
            Ok(Me::ApiKey { id, name, slug })
        }
        Actor::Operator(_) | Actor::Channel | Actor::System => Err(SessionError::NotFound.into()),
    }
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
    revocations::store::sweep(&mut tx, deps.revocations.keep_from()).await?;
    accounts_store::sweep_unused(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
