//! Room `identity`: rows of logins under way, of people as providers name them, and of sessions
//! that came from a provider's.

use misy_core::id::TypedId;
use misy_core::{SessionId, SsoConnectionId, Timestamp, UserId};
use misy_store::{Error, Row, TenantTx};
use uuid::Uuid;

use super::model::Login;

/// A login to be noted.
pub(super) struct NewLogin<'a> {
    pub(super) id: Uuid,
    pub(super) connection: SsoConnectionId,
    /// `started`, or `taken` for one that a provider began.
    pub(super) status: &'static str,
    pub(super) state_hash: &'a [u8],
    pub(super) browser_hash: Option<&'a [u8]>,
    pub(super) challenge: Option<&'a str>,
    pub(super) return_to: &'a str,
    pub(super) expires_at: Timestamp,
}

const INSERT: &str = "
    with swept as (
        delete from sso_logins where tenant_id = $1 and id in (
            select id from sso_logins where tenant_id = $1 and expires_at < $10 limit 200))
    insert into sso_logins (tenant_id, id, connection_id, status, state_hash, browser_hash,
        challenge, return_to, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Notes a login and forgets some that are over.
pub(super) async fn insert(
    tx: &mut TenantTx,
    new: &NewLogin<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let (tenant, connection) = (tx.tenant(), new.connection.uuid());
    tx.execute(
        INSERT,
        &[
            &tenant,
            &new.id,
            &connection,
            &new.status,
            &new.state_hash,
            &new.browser_hash,
            &new.challenge,
            &new.return_to,
            &new.expires_at,
            &now,
        ],
    )
    .await
    .map(drop)
}

const TAKE: &str = "
    update sso_logins set status = 'taken'
    where tenant_id = $1 and connection_id = $2 and state_hash = $3 and status = 'started'
      and expires_at > $4
    returning id, browser_hash, challenge, return_to";

/// Takes a login that was begun; it can be taken once. Gives the hash of its browser's cookie too.
pub(super) async fn take(
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    state_hash: &[u8],
    now: Timestamp,
) -> Result<Option<(Login, Option<Vec<u8>>)>, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(TAKE, &[&tenant, &connection.uuid(), &state_hash, &now]).await?;
    Ok(row.map(|row| {
        let login = Login {
            id: row.get("id"),
            return_to: row.get("return_to"),
            challenge: row.get("challenge"),
        };
        (login, row.get("browser_hash"))
    }))
}

/// What a code leads to.
pub(super) struct Entry<'a> {
    pub(super) user: UserId,
    pub(super) subject: &'a str,
    pub(super) session_index: Option<&'a str>,
    /// Sealed.
    pub(super) id_token: Option<&'a [u8]>,
    /// Whether the provider saw one.
    pub(super) second_factor: bool,
    pub(super) code_hash: &'a [u8],
    pub(super) expires_at: Timestamp,
}

const ENTER: &str = "
    update sso_logins
    set status = 'entered', user_id = $3, subject = $4, session_index = $5, id_token = $6,
        code_hash = $7, expires_at = $8, second_factor = $9
    where tenant_id = $1 and id = $2 and status = 'taken'";

/// Notes who a login let in and the code that stands for it.
pub(super) async fn enter(tx: &mut TenantTx, login: Uuid, entry: &Entry<'_>) -> Result<u64, Error> {
    let (tenant, user) = (tx.tenant(), entry.user.uuid());
    tx.execute(
        ENTER,
        &[
            &tenant,
            &login,
            &user,
            &entry.subject,
            &entry.session_index,
            &entry.id_token,
            &entry.code_hash,
            &entry.expires_at,
            &entry.second_factor,
        ],
    )
    .await
}

/// A login whose code was redeemed.
pub(super) struct Redeemed {
    pub(super) user: UserId,
    pub(super) subject: String,
    pub(super) session_index: Option<String>,
    pub(super) id_token: Option<Vec<u8>>,
    pub(super) second_factor: bool,
    pub(super) challenge: Option<String>,
}

const REDEEM: &str = "
    update sso_logins set status = 'redeemed'
    where tenant_id = $1 and connection_id = $2 and code_hash = $3 and status = 'entered'
      and expires_at > $4
    returning user_id, subject, session_index, id_token, second_factor, challenge";

/// Redeems a code; it can be redeemed once.
pub(super) async fn redeem(
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    code_hash: &[u8],
    now: Timestamp,
) -> Result<Option<Redeemed>, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(REDEEM, &[&tenant, &connection.uuid(), &code_hash, &now]).await?;
    Ok(row.map(|row| Redeemed {
        user: UserId::from_uuid(row.get("user_id")),
        subject: row.get("subject"),
        session_index: row.get("session_index"),
        id_token: row.get("id_token"),
        second_factor: row.get("second_factor"),
        challenge: row.get("challenge"),
    }))
}

const FIND_IDENTITY: &str = "
    select user_id from sso_identities
    where tenant_id = $1 and connection_id = $2 and subject = $3";

/// Who came with this subject before.
pub(super) async fn find_identity(
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    subject: &str,
) -> Result<Option<UserId>, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(FIND_IDENTITY, &[&tenant, &connection.uuid(), &subject]).await?;
    Ok(row.map(|row| UserId::from_uuid(row.get("user_id"))))
}

const SAVE_IDENTITY: &str = "
    insert into sso_identities (tenant_id, connection_id, subject, user_id, created_at, used_at)
    values ($1, $2, $3, $4, $5, $5)
    on conflict (tenant_id, connection_id, subject) do update set used_at = excluded.used_at";

/// Notes that a subject is this person, or that they came again.
pub(super) async fn save_identity(
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    subject: &str,
    user: UserId,
    now: Timestamp,
) -> Result<(), Error> {
    let (tenant, connection, user) = (tx.tenant(), connection.uuid(), user.uuid());
    tx.execute(SAVE_IDENTITY, &[&tenant, &connection, &subject, &user, &now]).await.map(drop)
}

const DOMAIN_VERIFIED: &str = "
    select exists (select from domains
        where tenant_id = $1 and name = $2 and verified_at is not null) as verified";

/// Whether a domain is verified as this tenant's.
pub(super) async fn is_domain_verified(tx: &mut TenantTx, domain: &str) -> Result<bool, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(DOMAIN_VERIFIED, &[&tenant, &domain]).await?;
    Ok(row.is_some_and(|row| row.get("verified")))
}

/// A session of ours and the provider's that it came from.
pub(super) struct Arrived<'a> {
    pub(super) id: SessionId,
    pub(super) connection: SsoConnectionId,
    pub(super) user: UserId,
    pub(super) subject: &'a str,
    pub(super) session_index: Option<&'a str>,
    pub(super) id_token: Option<&'a [u8]>,
    pub(super) expires_at: Timestamp,
}

const INSERT_SESSION: &str = "
    with swept as (
        delete from sso_sessions where tenant_id = $1 and session_id in (
            select session_id from sso_sessions
            where tenant_id = $1 and expires_at < $9 limit 200))
    insert into sso_sessions (tenant_id, session_id, connection_id, user_id, subject,
        session_index, id_token, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Notes where a session came from and forgets some that are over.
pub(super) async fn insert_session(
    tx: &mut TenantTx,
    session: &Arrived<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    let (tenant, id) = (tx.tenant(), session.id.uuid());
    let (connection, user) = (session.connection.uuid(), session.user.uuid());
    tx.execute(
        INSERT_SESSION,
        &[
            &tenant,
            &id,
            &connection,
            &user,
            &session.subject,
            &session.session_index,
            &session.id_token,
            &session.expires_at,
            &now,
        ],
    )
    .await
    .map(drop)
}

const LIST_SESSIONS: &str = "
    select session_id from sso_sessions
    where tenant_id = $1 and connection_id = $2
      and ($3::text is null or session_index = $3) and ($4::text is null or subject = $4)
      and ($3 is not null or $4 is not null)";

/// Our sessions that came from a session of the provider's, or from any of a person's there.
pub(super) async fn list_sessions(
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    session_index: Option<&str>,
    subject: Option<&str>,
) -> Result<Vec<Uuid>, Error> {
    let tenant = tx.tenant();
    let rows =
        tx.query(LIST_SESSIONS, &[&tenant, &connection.uuid(), &session_index, &subject]).await?;
    Ok(rows.iter().map(|row| row.get("session_id")).collect())
}

/// Where a session of ours came from.
pub(crate) struct Origin {
    pub(crate) connection: SsoConnectionId,
    /// Sealed.
    pub(crate) id_token: Option<Vec<u8>>,
}

const FIND_ORIGIN: &str = "
    select connection_id, id_token from sso_sessions
    where tenant_id = $1 and session_id = $2";

/// Where a session came from, if from a provider.
pub(crate) async fn find_origin(
    tx: &mut TenantTx,
    session: SessionId,
) -> Result<Option<Origin>, Error> {
    let tenant = tx.tenant();
    let origin = |row: Row| Origin {
        connection: SsoConnectionId::from_uuid(row.get("connection_id")),
        id_token: row.get("id_token"),
    };
    Ok(tx.query_opt(FIND_ORIGIN, &[&tenant, &session.uuid()]).await?.map(origin))
}

const NOTE_MESSAGE: &str = "
    with swept as (
        delete from sso_replays where tenant_id = $1 and (connection_id, message_id) in (
            select connection_id, message_id from sso_replays
            where tenant_id = $1 and expires_at < $5 limit 200))
    insert into sso_replays (tenant_id, connection_id, message_id, expires_at)
    values ($1, $2, $3, $4) on conflict do nothing";

/// Notes a message of a provider that works once; `false` if it was noted before.
pub(super) async fn note_message(
    tx: &mut TenantTx,
    connection: SsoConnectionId,
    message: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    let tenant = tx.tenant();
    let noted = tx
        .execute(NOTE_MESSAGE, &[&tenant, &connection.uuid(), &message, &expires_at, &now])
        .await?;
    Ok(noted == 1)
}
