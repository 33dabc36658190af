//! Room `identity`: a login from its beginning to a session, the same for every protocol. What the
//! visitor carries back is a one-time code and never a token.

use std::sync::Arc;

use misy_core::crypto::{self, Key, Place};
use misy_core::id::TypedId;
use misy_core::{
    Ambient, Ctx, Permission, Personal, PlatformCtx, Role, Secret, SessionId, SsoConnectionId,
    Timestamp, UserId,
};
use misy_egress::{Gateway, TxtRecords};
use misy_store::{Audit, TenantTx, Vault};
use misy_web::Peer;
use serde_json::json;

use super::model::{
    self, Assertion, Derived, Error, Known, Login, Refusal, Who, Yield, domain_of, email_of,
};
use super::store;
use crate::oidc::service::Providers;
use crate::sessions::model::{Error as SessionError, Method, Pair};
use crate::sessions::service::Opening;
use crate::sso_connections::model::{Connection, Error as ConnectionError, Kind, Status};
use crate::sso_connections::{self as connections, service::find_for_visitor};
use crate::tokens::Claims;
use crate::users::model::{Status as UserStatus, User};
use crate::{Deps, Error as Failure, accounts, letters, oidc, revocations, roles, sessions, users};

/// What reaches beyond this room: ways out and tenants' keys.
pub struct Outside {
    pub(crate) egress: Gateway,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) key: Key,
    pub(crate) providers: Providers,
    pub(crate) names: Arc<dyn TxtRecords>,
}

impl Outside {
    /// `root` is the installation's key derived for this room.
    pub fn new(
        egress: Gateway,
        names: Arc<dyn TxtRecords>,
        vault: Arc<dyn Vault>,
        root: &Key,
        ambient: Ambient,
    ) -> Self {
        let (key, providers) = (root.derive("sso"), Providers::new(ambient));
        Self { egress, vault, key, providers, names }
    }
}

/// A login takes no longer than this at the provider.
const LOGIN_S: i64 = 600;
/// A code is redeemed at once by the page that it lands on.
const CODE_S: i64 = 60;

/// A login that a visitor begins.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// A path of ours, or an address on the tenant's own page; `/` if not given.
    pub(crate) return_to: Option<&'a str>,
    /// S256 challenge of the page that will redeem the code.
    pub(crate) challenge: &'a str,
}

/// What to send to the provider, and what to leave in the browser.
#[derive(Debug)]
pub(crate) struct Begun {
    /// `state`, `RelayState`.
    pub(crate) state: Secret,
    pub(crate) derived: Derived,
    /// The value of the cookie that ties the login to this browser.
    pub(crate) browser: Secret,
}

/// Refuses to send a browser anywhere but to a path of ours or to the tenant's own page, which lies
/// on a domain that is verified at this moment.
async fn check_return(deps: &Deps, ctx: &Ctx, return_to: &str) -> Result<(), Failure> {
    if model::is_own_path(return_to) {
        return Ok(());
    }
    let mut tx = deps.db.read(ctx).await?;
    let look = letters::store::find_look(&mut tx).await?;
    let page = look.app_url.filter(|page| model::is_on_page(page, return_to));
    Ok(page.map(drop).ok_or(Error::ForeignReturn)?)
}

/// Begins a login. It has to come back to the same browser within ten minutes.
pub(crate) async fn begin(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    start: Start<'_>,
) -> Result<Begun, Failure> {
    let return_to = start.return_to.unwrap_or("/");
    check_return(deps, ctx, return_to).await?;
    if crypto::from_base64url(start.challenge).is_none_or(|bytes| bytes.len() != 32) {
        return Err(Error::BadChallenge.into());
    }
    if connection.status == Status::Disabled {
        return Err(ConnectionError::NotFound.into());
    }
    let random = || Secret::new(crypto::to_base64url(&deps.ambient.bytes::<32>()));
    let (state, browser) = (random(), random());
    let new = store::NewLogin {
        id: deps.ambient.uuid(),
        connection: connection.id,
        status: "started",
        state_hash: &hash(state.expose()),
        browser_hash: Some(&hash(browser.expose())),
        challenge: Some(start.challenge),
        return_to,
        expires_at: later(deps.ambient.now(), LOGIN_S),
    };
    let mut tx = deps.db.tenant(ctx).await?;
    store::insert(&mut tx, &new, deps.ambient.now()).await?;
    tx.commit().await?;
    let derived = model::derive(&deps.outside()?.key, state.expose());
    Ok(Begun { state, derived, browser })
}

/// Takes a login back that was begun in this browser. It works once, also if the browser is the
/// wrong one: a state that was seen elsewhere is not to be tried again.
pub(crate) async fn take(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    state: &str,
    browser: Option<&str>,
) -> Result<(Login, Derived), Failure> {
    let mut tx = deps.db.tenant(ctx).await?;
    let now = deps.ambient.now();
    let found = store::take(&mut tx, connection.id, &hash(state), now).await?;
    let (login, browser_hash) = found.ok_or(Error::UnknownLogin)?;
    tx.commit().await?;
    let same = match (browser_hash, browser) {
        (Some(expected), Some(browser)) => crypto::equal(&expected, &hash(browser)),
        (None, _) => true,
        (Some(_), None) => false,
    };
    if !same {
        deny(deps, ctx, connection, &login, "other_browser").await?;
        return Err(Error::UnknownLogin.into());
    }
    Ok((login, model::derive(&deps.outside()?.key, state)))
}

/// Notes a login that the provider began by itself, where a connection allows that.
pub(crate) async fn adopt(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    return_to: Option<&str>,
) -> Result<Login, Failure> {
    let return_to = return_to.filter(|path| model::is_own_path(path)).unwrap_or("/");
    let login = Login { id: deps.ambient.uuid(), return_to: return_to.to_owned(), challenge: None };
    let new = store::NewLogin {
        id: login.id,
        connection: connection.id,
        status: "taken",
        state_hash: &crypto::sha256(&deps.ambient.bytes::<32>()),
        browser_hash: None,
        challenge: None,
        return_to: &login.return_to,
        expires_at: later(deps.ambient.now(), LOGIN_S),
    };
    let mut tx = deps.db.tenant(ctx).await?;
    store::insert(&mut tx, &new, deps.ambient.now()).await?;
    tx.commit().await?;
    Ok(login)
}

/// Decides what a login comes to and says where the visitor goes on: to their page with a code in
/// the fragment, or with `sso_error` and a reference that the administrator finds in the audit log.
/// `id_token` is kept for the logout at the provider.
pub(crate) async fn arrive(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    login: &Login,
    assertion: &Assertion,
    id_token: Option<&Secret>,
) -> Result<String, Failure> {
    let first = enter(deps, ctx, connection, login, assertion, id_token).await;
    // Two logins of a newcomer at once: the second one finds what the first has made.
    let outcome = match first {
        Err(Failure::Store(error)) if error.unique_violation().is_some() => {
            enter(deps, ctx, connection, login, assertion, id_token).await?
        }
        other => other?,
    };
    match outcome {
        Ok(code) => Ok(landing(deps, login, &format!("sso_code={}", code.expose()))),
        Err(refusal) => deny(deps, ctx, connection, login, refusal.slug()).await,
    }
}

/// Ends a login without a session; gives where the visitor goes on. `reason` is for the
/// administrator, one of a closed set of slugs.
pub(crate) async fn deny(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    login: &Login,
    reason: &'static str,
) -> Result<String, Failure> {
    let reference = login.id;
    let mut tx = deps.db.tenant(ctx).await?;
    let detail = json!({"reason": reason, "reference": reference, "kind": connection.kind});
    tx.audit(Audit::new("sso.login_denied", "sso_connection", connection.id).with(detail));
    tx.commit().await?;
    Ok(landing(deps, login, &format!("sso_error=denied&reference={reference}")))
}

/// Where the login goes on, as it was checked when it began: nothing else can be reached.
fn landing(deps: &Deps, login: &Login, fragment: &str) -> String {
    format!("{}#{fragment}", model::address_of(&deps.config.issuer, &login.return_to))
}

async fn enter(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    login: &Login,
    assertion: &Assertion,
    id_token: Option<&Secret>,
) -> Result<Result<Secret, Refusal>, Failure> {
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(ctx).await?;
    let known = known(&mut tx, connection, assertion).await?;
    let found = match model::yields(&connection.rules, assertion, known) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (user, raised) = settle(deps, &mut tx, found.who.clone(), found.role, now).await?;
    store::save_identity(&mut tx, connection.id, &assertion.subject, user, now).await?;
    let secret = deps.ambient.bytes::<32>();
    let sealed = match id_token {
        Some(token) => Some(seal_hint(deps, &mut tx, connection.id, token).await?),
        None => None,
    };
    let entry = store::Entry {
        user,
        subject: &assertion.subject,
        session_index: assertion.session_index.as_deref(),
        id_token: sealed.as_deref(),
        second_factor: assertion.saw_second_factor(),
        code_hash: &crypto::sha256(&secret),
        expires_at: later(now, CODE_S),
    };
    if store::enter(&mut tx, login.id, &entry).await? == 0 {
        return Err(Error::UnknownLogin.into());
    }
    tx.audit(entered(connection, login, &found, user, assertion));
    tx.commit().await?;
    if let Some(uv) = raised {
        deps.revocations.note(&[(user.uuid(), uv)]);
    }
    Ok(Ok(model::code_text(connection.id, secret)))
}

fn entered(
    connection: &Connection,
    login: &Login,
    found: &Yield,
    user: UserId,
    assertion: &Assertion,
) -> Audit {
    let how = match found.who {
        Who::Linked(_) => "subject",
        Who::Found(_) => "email",
        Who::New { .. } => "added",
    };
    let detail = json!({
        "user": user, "role": found.role, "by": how, "groups": found.groups.len(),
        "amr": assertion.amr, "auth_time": assertion.auth_time, "reference": login.id,
    });
    Audit::new("sso.login", "sso_connection", connection.id).with(detail)
}

async fn known(
    tx: &mut TenantTx,
    connection: &Connection,
    assertion: &Assertion,
) -> Result<Known, Failure> {
    let linked = match store::find_identity(tx, connection.id, &assertion.subject).await? {
        Some(user) => users::store::lock(tx, user).await?,
        None => None,
    };
    let email = email_of(assertion);
    let (by_email, domain_verified) = match &email {
        Some(email) => (
            users::store::lock_by_email(tx, email.as_str()).await?,
            store::is_domain_verified(tx, domain_of(email)).await?,
        ),
        None => (None, false),
    };
    let own_role = linked.as_ref().or(by_email.as_ref()).and_then(|user| user.own_role.as_deref());
    let own = match own_role {
        Some(slug) => Some(roles::store::book(tx).await?.grants(slug)),
        None => None,
    };
    Ok(Known {
        linked,
        by_email,
        own,
        domain_verified,
        enabled: connection.status == Status::Enabled,
    })
}

/// Makes it so. A new role ends the validity of the person's access tokens.
async fn settle(
    deps: &Deps,
    tx: &mut TenantTx,
    who: Who,
    role: Role,
    now: Timestamp,
) -> Result<(UserId, Option<i64>), Failure> {
    let before = match who {
        Who::New { email, name } => return add(deps, tx, &email, name, role, now).await,
        Who::Linked(user) | Who::Found(user) => user,
    };
    let after = User { role, status: UserStatus::Active, ..before.clone() };
    if after == before {
        return Ok((before.id, None));
    }
    users::store::update(tx, &after, now).await?;
    let uv = users::store::update_membership(tx, &after, false).await?;
    if let Some(uv) = uv {
        revocations::store::raise_user(tx, after.id, uv).await?;
    }
    let detail = json!({"role": role, "status": after.status, "by": "sso"});
    tx.audit(Audit::new("user.updated", "user", after.id).with(detail));
    Ok((after.id, uv))
}

async fn add(
    deps: &Deps,
    tx: &mut TenantTx,
    email: &accounts::Email,
    name: String,
    role: Role,
    now: Timestamp,
) -> Result<(UserId, Option<i64>), Failure> {
    let user = User {
        id: tx.ambient().id(),
        account: accounts::store::account_of(tx, email).await?,
        email: Personal(email.as_str().to_owned()),
        name: Personal(name),
        role,
        own_role: None,
        status: UserStatus::Active,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    users::service::make_room(deps, tx).await?;
    users::store::insert(tx, &user).await?;
    let detail = json!({"role": role, "by": "sso"});
    tx.audit(Audit::new("user.created", "user", user.id).with(detail));
    Ok((user.id, None))
}

/// Exchanges a code for a session. It works once, also if the verifier is wrong.
pub(super) async fn exchange(
    deps: &Deps,
    ctx: &PlatformCtx,
    code: &Secret,
    verifier: Option<&Secret>,
    device: Option<String>,
    peer: Peer,
) -> Result<Pair, Failure> {
    let address = peer.network().0.to_string();
    deps.by_address.take(&address)?;
    let (connection, code_hash) = model::read_code(code).ok_or(Error::InvalidCode)?;
    let (inside, kind) = tenant_of(deps, ctx, connection).await?;
    let now = deps.ambient.now();
    let mut tx = deps.db.tenant(&inside).await?;
    let redeemed = store::redeem(&mut tx, connection, &code_hash, now).await?;
    let redeemed = redeemed.ok_or(Error::InvalidCode)?;
    tx.commit().await?;
    let proved = verifier.map(|verifier| model::challenge_of(verifier.expose()));
    if redeemed.challenge.is_some() && redeemed.challenge != proved {
        return Err(Error::InvalidCode.into());
    }
    let opening = Opening {
        tenant: inside.tenant(),
        user: redeemed.user,
        method: match kind {
            Kind::Oidc => Method::Oidc,
            Kind::Saml => Method::Saml,
        },
        second_factor: redeemed.second_factor,
        device,
        peer,
    };
    let pair = sessions::service::open(deps, ctx, opening).await.map_err(|error| match error {
        Failure::Session(SessionError::InvalidLogin) => Error::InvalidCode.into(),
        error => error,
    })?;
    let session = store::Arrived {
        id: pair.session,
        connection,
        user: redeemed.user,
        subject: &redeemed.subject,
        session_index: redeemed.session_index.as_deref(),
        id_token: redeemed.id_token.as_deref(),
        expires_at: later(now, deps.config.session_absolute_s.into()),
    };
    let mut tx = deps.db.tenant(&inside).await?;
    store::insert_session(&mut tx, &session, now).await?;
    tx.commit().await?;
    deps.by_address.put_back(&address);
    Ok(pair)
}

async fn tenant_of(
    deps: &Deps,
    ctx: &PlatformCtx,
    connection: SsoConnectionId,
) -> Result<(Ctx, Kind), Failure> {
    for kind in [Kind::Oidc, Kind::Saml] {
        match find_for_visitor(deps, ctx, connection, kind).await {
            Ok((inside, _)) => return Ok((inside, kind)),
            Err(Failure::SsoConnection(ConnectionError::NotFound)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::InvalidCode.into())
}

/// Ends our sessions that came from a session of the provider's, or, without its name, from any of
/// the person's there. Gives how many there were. `inside` is the tenant's context.
pub(crate) async fn end(
    deps: &Deps,
    ctx: &PlatformCtx,
    inside: &Ctx,
    connection: &Connection,
    session_index: Option<&str>,
    subject: Option<&str>,
) -> Result<usize, Failure> {
    let mut tx = deps.db.read(inside).await?;
    let ids = store::list_sessions(&mut tx, connection.id, session_index, subject).await?;
    drop(tx);
    let ended = sessions::service::end_many(deps, ctx, inside.tenant(), &ids).await?;
    let mut tx = deps.db.tenant(inside).await?;
    let detail = json!({"sessions": ended});
    tx.audit(Audit::new("sso.logout", "sso_connection", connection.id).with(detail));
    tx.commit().await?;
    Ok(ended)
}

/// Signs out here; gives where the browser can sign out at the provider too.
pub(super) async fn log_out(
    deps: &Deps,
    ctx: &PlatformCtx,
    inside: &Ctx,
    claims: &Claims,
    return_to: Option<&str>,
) -> Result<Option<String>, Failure> {
    if let Some(return_to) = return_to {
        check_return(deps, inside, return_to).await?;
    }
    let url = oidc::service::logout_url(deps, inside, claims.session, return_to).await?;
    sessions::service::logout(deps, ctx, claims).await?;
    Ok(url)
}

/// Whether a message of the provider comes for the first time; from now on it has come.
pub(crate) async fn is_first(
    deps: &Deps,
    inside: &Ctx,
    connection: &Connection,
    message: &str,
    expires_at: Timestamp,
) -> Result<bool, Failure> {
    let mut tx = deps.db.tenant(inside).await?;
    let now = deps.ambient.now();
    let first = store::note_message(&mut tx, connection.id, message, expires_at, now).await?;
    tx.commit().await?;
    Ok(first)
}

/// What a login with this assertion would come to. Changes nothing.
pub(crate) async fn preview(
    deps: &Deps,
    ctx: &Ctx,
    connection: &Connection,
    assertion: &Assertion,
) -> Result<Result<Yield, Refusal>, Failure> {
    ctx.require(Permission::SsoManage)?;
    let mut tx = deps.db.tenant(ctx).await?;
    let known = known(&mut tx, connection, assertion).await?;
    Ok(model::yields(&connection.rules, assertion, known))
}

/// The connection that a session came from, and its ID token; `None` if it came from none.
pub(crate) async fn origin(
    deps: &Deps,
    inside: &Ctx,
    session: SessionId,
) -> Result<Option<(Connection, Option<Secret>)>, Failure> {
    let mut tx = deps.db.tenant(inside).await?;
    let Some(origin) = store::find_origin(&mut tx, session).await? else { return Ok(None) };
    let connection = connections::store::find(&mut tx, origin.connection).await?;
    let Some(connection) = connection else { return Ok(None) };
    let hint = match origin.id_token {
        Some(sealed) => open_hint(deps, &mut tx, connection.id, &sealed).await?,
        None => None,
    };
    Ok(Some((connection, hint)))
}

fn hint_place(inside: &Ctx, connection: SsoConnectionId) -> Place<'static> {
    Place {
        tenant: inside.tenant(),
        table: "sso_sessions",
        column: "id_token",
        row: connection.uuid(),
    }
}

async fn seal_hint(
    deps: &Deps,
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    token: &Secret,
) -> Result<Vec<u8>, Failure> {
    let key = deps.outside()?.vault.current(tx).await?;
    let place = hint_place(tx.ctx(), connection);
    let nonce = deps.ambient.bytes();
    Ok(crypto::seal(&key.key, key.version, &place, nonce, token.expose().as_bytes()))
}

/// The ID token of a session; `None` if it cannot be opened any more, which costs only the hint.
async fn open_hint(
    deps: &Deps,
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    sealed: &[u8],
) -> Result<Option<Secret>, Failure> {
    let Some(version) = crypto::sealed_version(sealed) else { return Ok(None) };
    let key = deps.outside()?.vault.of_version(tx, version).await?;
    let place = hint_place(tx.ctx(), connection);
    let plain = key.and_then(|key| crypto::open(&key.key, &place, sealed).ok());
    let text = plain.and_then(|plain| String::from_utf8(plain.to_vec()).ok());
    Ok(text.map(Secret::new))
}

fn hash(text: &str) -> Vec<u8> {
    crypto::sha256(text.as_bytes()).to_vec()
}

pub(crate) fn later(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second().saturating_add(seconds)).unwrap_or(time)
}
