//! Room `identity`: rows of sessions and refresh tokens.

use misy_core::id::TypedId;
use misy_core::{SessionId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row};
use uuid::Uuid;

use super::model::{
    CHALLENGE_TRIES, Challenge, EndReason, Method, NewRefreshToken, Origin, RefreshToken, Session,
};
use crate::accounts::model::{Person, Standing};
use crate::accounts::store::standing;
use crate::exchanges::model::Reach;

const INSERT: &str = "
    insert into sessions (id, account_id, tenant_id, user_id, operator_id, sv, era, device,
        created_at, used_at, idle_until, expires_at, method, address, second_factor_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12, $13, $14)";

/// Begins a session.
pub(super) async fn insert(tx: &mut PlatformTx, session: &Session) -> Result<(), Error> {
    let Standing { account, person, era, .. } = session.standing;
    let (user, operator) = ids(person);
    let tenant = person.tenant().map(TypedId::uuid);
    tx.execute(
        INSERT,
        &[
            &session.id.uuid(),
            &account,
            &tenant,
            &user,
            &operator,
            &session.sv,
            &era,
            &session.origin.device,
            &session.created_at,
            &session.idle_until,
            &session.expires_at,
            &session.origin.method.slug(),
            &session.origin.address,
            &session.origin.second_factor_at,
        ],
    )
    .await
    .map(drop)
}

fn ids(person: Person) -> (Option<Uuid>, Option<Uuid>) {
    match person {
        Person::User { user, .. } => (Some(user.uuid()), None),
        Person::Operator(operator) | Person::Staff { operator, .. } => {
            (None, Some(operator.uuid()))
        }
    }
}

const INSERT_TOKEN: &str = "
    insert into refresh_tokens (hash, session_id, parent, access_id, issued_at)
    values ($1, $2, $3, $4, $5)";

/// Hands out a refresh token.
pub(super) async fn insert_token(
    tx: &mut PlatformTx,
    session: SessionId,
    token: &NewRefreshToken,
    now: Timestamp,
) -> Result<(), Error> {
    let NewRefreshToken { hash, parent, access_id } = token;
    tx.execute(INSERT_TOKEN, &[hash, &session.uuid(), parent, access_id, &now]).await.map(drop)
}

const LOCK_BY_TOKEN: &str = "
    select s.id, s.sv, s.device, s.method, s.address, s.second_factor_at, s.created_at,
           s.used_at, s.idle_until, s.expires_at,
           s.account_id, s.tenant_id, m.user_id, m.role, o.id as operator_id,
           o.role as operator_role, coalesce(m.uv, o.uv, 0) as uv, s.era, t.hash,
           t.spent_at is not null as spent, t.superseded_at is not null as superseded,
           exists (select from refresh_tokens child where child.parent = t.hash
               and child.superseded_at is null
               and (child.spent_at is not null or child.access_used_at is not null)) as arrived
    from refresh_tokens t
    join sessions s on s.id = t.session_id
    join accounts a on a.id = s.account_id
    left join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
         and m.status = 'active' and a.status = 'active' and m.era = s.era
    left join operators o on o.id = s.operator_id
         and o.status = 'active' and a.status = 'active' and o.era = s.era
    where t.hash = $1 and s.ended_at is null
    for update of s";

/// The session of a refresh token and the token's own state. The person of the session is `None` if
/// they may not sign in any more.
pub(super) async fn lock_by_token(
    tx: &mut PlatformTx,
    hash: &[u8],
) -> Result<Option<(Option<Session>, SessionId, RefreshToken)>, Error> {
    lock_session(tx, hash).await?;
    let Some(row) = tx.query_opt(LOCK_BY_TOKEN, &[&hash]).await? else { return Ok(None) };
    let token = RefreshToken {
        hash: row.get("hash"),
        spent: row.get("spent"),
        superseded: row.get("superseded"),
        answer_arrived: row.get("arrived"),
    };
    let id = SessionId::from_uuid(row.get("id"));
    Ok(Some((read(&row)?, id, token)))
}

const LOCK_SESSION: &str = "
    select s.id from refresh_tokens t join sessions s on s.id = t.session_id
    where t.hash = $1 for update of s";

/// Two refreshes of one session come one after the other. Locked in a statement of its own: what
/// the next one reads is then what the first has committed.
async fn lock_session(tx: &mut PlatformTx, hash: &[u8]) -> Result<(), Error> {
    tx.query(LOCK_SESSION, &[&hash]).await.map(drop)
}

fn read(row: &Row) -> Result<Option<Session>, Error> {
    let Some(standing) = standing(row)? else { return Ok(None) };
    Ok(Some(Session {
        id: SessionId::from_uuid(row.get("id")),
        standing,
        sv: row.get("sv"),
        origin: origin(row)?,
        created_at: row.get("created_at"),
        used_at: row.get("used_at"),
        idle_until: row.get("idle_until"),
        expires_at: row.get("expires_at"),
    }))
}

fn origin(row: &Row) -> Result<Origin, Error> {
    let method: &str = row.get("method");
    Ok(Origin {
        method: Method::from_slug(method).ok_or(Error::Corrupt { column: "method" })?,
        device: row.get("device"),
        address: row.get("address"),
        second_factor_at: row.get("second_factor_at"),
    })
}

const SPEND: &str = "
    with lost as (
        update refresh_tokens set superseded_at = $2
        where parent = $1 and superseded_at is null),
    session as (
        update sessions set used_at = $2, idle_until = $4 where id = $3)
    update refresh_tokens set spent_at = coalesce(spent_at, $2) where hash = $1";

/// Marks a token as exchanged, gives up an earlier pair given for it, and prolongs its session.
pub(super) async fn spend(
    tx: &mut PlatformTx,
    token: &RefreshToken,
    session: &Session,
    now: Timestamp,
    idle_until: Timestamp,
) -> Result<(), Error> {
    let id = session.id.uuid();
    tx.execute(SPEND, &[&token.hash, &now, &id, &idle_until]).await.map(drop)
}

const END: &str = "
    update sessions set ended_at = $3, end_reason = $4, sv = sv + 1
    where (id = $1 or $1 is null) and (user_id = $2 or operator_id = $2 or $2 is null)
      and ($1 is not null or $2 is not null) and ended_at is null
    returning id, sv";

/// Ends one session or all of a person, or one if it is of the person. Gives what is dead now.
pub(crate) async fn end(
    tx: &mut PlatformTx,
    session: Option<SessionId>,
    person: Option<Uuid>,
    reason: EndReason,
    now: Timestamp,
) -> Result<Vec<(Uuid, i64)>, Error> {
    let session = session.map(TypedId::uuid);
    let rows = tx.query(END, &[&session, &person, &now, &reason.slug()]).await?;
    Ok(rows.iter().map(|row| (row.get("id"), row.get("sv"))).collect())
}

const END_MANY: &str = "
    update sessions set ended_at = $2, end_reason = $3, sv = sv + 1
    where id = any($1) and ended_at is null returning id, sv";

/// Ends these sessions. Gives what is dead now.
pub(super) async fn end_many(
    tx: &mut PlatformTx,
    sessions: &[Uuid],
    reason: EndReason,
    now: Timestamp,
) -> Result<Vec<(Uuid, i64)>, Error> {
    let rows = tx.query(END_MANY, &[&sessions, &now, &reason.slug()]).await?;
    Ok(rows.iter().map(|row| (row.get("id"), row.get("sv"))).collect())
}

const ACCOUNT: &str = "
    select account_id, method, device, address, second_factor_at from sessions where id = $1";

/// The account of a session, and where it comes from.
pub(crate) async fn find_account(
    tx: &mut PlatformTx,
    session: SessionId,
) -> Result<Option<(Uuid, Origin)>, Error> {
    let Some(row) = tx.query_opt(ACCOUNT, &[&session.uuid()]).await? else { return Ok(None) };
    Ok(Some((row.get("account_id"), origin(&row)?)))
}

const MARK: &str = "update sessions set second_factor_at = $2 where id = $1";

/// Notes that a second factor was shown in a session.
pub(crate) async fn mark_second_factor(
    tx: &mut PlatformTx,
    session: SessionId,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(MARK, &[&session.uuid(), &now]).await.map(drop)
}

const INSERT_CHALLENGE: &str = "
    insert into sign_in_challenges (hash, account_id, realm, device, address, expires_at,
        reach_tenants, reach_proofs)
    values ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Begins to wait for a second factor.
pub(super) async fn insert_challenge(
    tx: &mut PlatformTx,
    challenge: &Challenge,
) -> Result<(), Error> {
    let Challenge { hash, account, realm, device, address, reach, expires_at } = challenge;
    let (tenants, proofs): (Vec<Uuid>, Vec<&[u8]>) =
        reach.iter().map(|(tenant, proof)| (tenant.uuid(), proof.as_slice())).unzip();
    tx.execute(
        INSERT_CHALLENGE,
        &[hash, account, realm, device, address, expires_at, &tenants, &proofs],
    )
    .await
    .map(drop)
}

const TRY_CHALLENGE: &str = "
    update sign_in_challenges set tries = tries + 1
    where hash = $1 and expires_at > $2 and tries < $3
    returning *";

/// Counts one try at a challenge that is not over. It stays locked until the transaction ends.
pub(super) async fn try_challenge(
    tx: &mut PlatformTx,
    hash: &[u8],
    now: Timestamp,
) -> Result<Option<Challenge>, Error> {
    let row = tx.query_opt(TRY_CHALLENGE, &[&hash, &now, &CHALLENGE_TRIES]).await?;
    Ok(row.map(|row| Challenge {
        hash: row.get("hash"),
        account: row.get("account_id"),
        realm: row.get("realm"),
        device: row.get("device"),
        address: row.get("address"),
        reach: reach(&row),
        expires_at: row.get("expires_at"),
    }))
}

fn reach(row: &Row) -> Reach {
    let (tenants, proofs): (Vec<Uuid>, Vec<Vec<u8>>) =
        (row.get("reach_tenants"), row.get("reach_proofs"));
    tenants.into_iter().map(TenantId::from_uuid).zip(proofs).collect()
}

const DELETE_CHALLENGE: &str = "delete from sign_in_challenges where hash = $1";

/// Ends a challenge that was answered. Says whether it was still there: of two answers at once one
/// counts.
pub(super) async fn delete_challenge(tx: &mut PlatformTx, hash: &[u8]) -> Result<bool, Error> {
    Ok(tx.execute(DELETE_CHALLENGE, &[&hash]).await? == 1)
}

/// A session as its person sees it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) id: SessionId,
    pub(crate) origin: Origin,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

const LIST: &str = "
    select id, device, method, address, second_factor_at, created_at, used_at, idle_until
    from sessions
    where (user_id = $1 or operator_id = $1) and ended_at is null and idle_until > $2
      and id > $3
    order by id limit $4";

/// Sessions of a person that are not over, oldest first.
pub(super) async fn list(
    tx: &mut PlatformTx,
    person: Uuid,
    now: Timestamp,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let rows = tx.query(LIST, &[&person, &now, &after.unwrap_or_default(), &limit]).await?;
    let listed = |row: &Row| {
        Ok(Listed {
            id: SessionId::from_uuid(row.get("id")),
            origin: origin(row)?,
            created_at: row.get("created_at"),
            used_at: row.get("used_at"),
            expires_at: row.get("idle_until"),
        })
    };
    rows.iter().map(listed).collect()
}

const NOTE_USED: &str = "
    update refresh_tokens set access_used_at = $2
    where access_id = any($1) and access_used_at is null";

/// Notes that these access tokens have been used: the answers they came with arrived.
pub(crate) async fn note_used(
    tx: &mut PlatformTx,
    access_ids: &[Uuid],
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(NOTE_USED, &[&access_ids, &now]).await.map(drop)
}

const SWEEP: &str = "
    delete from sessions where id in (
        select id from sessions where idle_until < $1 or ended_at < $1 limit 5000)";
const SWEEP_TOKENS: &str = "
    delete from refresh_tokens where hash in (
        select hash from refresh_tokens where spent_at < $1 limit 20000)";
const SWEEP_CHALLENGES: &str = "delete from sign_in_challenges where expires_at < $1";

/// Removes sessions that were over, and refresh tokens that were spent, before this time.
pub(super) async fn sweep(tx: &mut PlatformTx, before: Timestamp) -> Result<u64, Error> {
    let sessions = tx.execute(SWEEP, &[&before]).await?;
    tx.execute(SWEEP_CHALLENGES, &[&before]).await?;
    Ok(sessions + tx.execute(SWEEP_TOKENS, &[&before]).await?)
}

const COUNT_OF_TENANT: &str = "select count(*) from sessions where tenant_id = $1";
const DELETE_OF_TENANT: &str = "
    with reaches as (delete from session_reaches where tenant_id = $1),
    challenges as (delete from sign_in_challenges where realm = $1)
    delete from sessions where tenant_id = $1";

/// How many sessions there are of people of a tenant.
pub(crate) async fn count_of_tenant(tx: &mut PlatformTx, tenant: TenantId) -> Result<i64, Error> {
    Ok(tx.query_opt(COUNT_OF_TENANT, &[&tenant.uuid()]).await?.map_or(0, |row| row.get(0)))
}

/// Removes them and with them their refresh tokens, what is on the way to one, and that a session
/// elsewhere leads here.
pub(crate) async fn delete_of_tenant(tx: &mut PlatformTx, tenant: TenantId) -> Result<u64, Error> {
    tx.execute(DELETE_OF_TENANT, &[&tenant.uuid()]).await
}
