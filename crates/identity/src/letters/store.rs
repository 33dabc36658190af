//! Room `identity`: rows of letters.

use misy_core::id::TypedId;
use misy_core::{Personal, TenantId, Timestamp, UserId};
use misy_store::{Error, PlatformTx, Row, TenantTx, ToSql};
use serde_json::Value;
use uuid::Uuid;

use super::model::{Found, Kind, Letter, Look};

const INSERT: &str = "
    insert into letters
        (id, tenant_id, account_id, user_id, kind, nonce, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Writes a letter from inside its tenant.
pub(super) async fn insert_inside(tx: &mut TenantTx, letter: &Letter) -> Result<(), Error> {
    let (tenant, user) = (tx.tenant(), letter.user.map(TypedId::uuid));
    let Letter { id, account, nonce, created_at, expires_at, kind, .. } = letter;
    let kind = kind.slug();
    tx.execute(INSERT, &[id, &tenant, account, &user, &kind, nonce, created_at, expires_at])
        .await
        .map(drop)
}

const INSERT_NOTES: &str = "
    insert into letters
        (id, tenant_id, account_id, user_id, kind, nonce, created_at, expires_at, detail)
    select new.id, $1, new.account, new.person, $2, $3, $4, $5, $6
    from unnest($7::uuid[], $8::uuid[], $9::uuid[]) as new (id, account, person)
    on conflict (id) do nothing
    returning id";

/// Writes the same note to many; gives the letters that were not written before. Each is its id,
/// its receiver's account and the receiver.
pub(super) async fn insert_notes(
    tx: &mut TenantTx,
    note: &Letter,
    receivers: &[(Uuid, Uuid, UserId)],
) -> Result<Vec<Uuid>, Error> {
    let (tenant, kind) = (tx.tenant(), note.kind.slug());
    let ids: Vec<Uuid> = receivers.iter().map(|one| one.0).collect();
    let accounts: Vec<Uuid> = receivers.iter().map(|one| one.1).collect();
    let people: Vec<Uuid> = receivers.iter().map(|one| one.2.uuid()).collect();
    let Letter { nonce, created_at, expires_at, detail, .. } = note;
    let params: [&(dyn ToSql + Sync); 9] =
        [&tenant, &kind, nonce, created_at, expires_at, detail, &ids, &accounts, &people];
    Ok(tx.query(INSERT_NOTES, &params).await?.iter().map(|row| row.get("id")).collect())
}

/// Writes a letter to somebody who is not inside a tenant.
pub(super) async fn insert(tx: &mut PlatformTx, letter: &Letter) -> Result<(), Error> {
    let (tenant, user) = (letter.tenant.map(TypedId::uuid), letter.user.map(TypedId::uuid));
    let Letter { id, account, nonce, created_at, expires_at, kind, .. } = letter;
    let kind = kind.slug();
    tx.execute(INSERT, &[id, &tenant, account, &user, &kind, nonce, created_at, expires_at])
        .await
        .map(drop)
}

const INSERT_TO: &str = "
    insert into letters (id, tenant_id, account_id, kind, nonce, created_at, expires_at)
    values ($1, (select tenant_id from realms where slug = $2),
        (select id from accounts where email = $3 and status = 'active'), $4, $5, $6, $7)";

/// Writes a letter to an address, whether or not anybody has it: the same statement either way.
pub(super) async fn insert_to(
    tx: &mut PlatformTx,
    email: &str,
    tenant: Option<&str>,
    letter: &Letter,
) -> Result<(), Error> {
    let Letter { id, nonce, created_at, expires_at, kind, .. } = letter;
    tx.execute(INSERT_TO, &[id, &tenant, &email, &kind.slug(), nonce, created_at, expires_at])
        .await
        .map(drop)
}

const FIND: &str = "
    select l.*, a.email, r.slug, t.brand, array(
        select d.name from domain_routes d where d.tenant_id = l.tenant_id) as domains
    from letters l
    left join accounts a on a.id = l.account_id
    left join realms r on r.tenant_id = l.tenant_id
    left join tenants t on t.id = l.tenant_id
    where l.id = $1";

/// A letter, its receiver and its tenant.
pub(super) async fn find(tx: &mut PlatformTx, id: Uuid) -> Result<Option<Found>, Error> {
    let Some(row) = tx.query_opt(FIND, &[&id]).await? else { return Ok(None) };
    let used: Option<Timestamp> = row.get("used_at");
    let email: Option<String> = row.get("email");
    let (brand, domains): (Option<Value>, Vec<String>) = (row.get("brand"), row.get("domains"));
    Ok(Some(Found {
        letter: read(&row)?,
        email: email.map(Personal),
        slug: row.get("slug"),
        look: Look::of(&brand.unwrap_or_default(), &domains),
        used: used.is_some(),
    }))
}

const FIND_LOOK: &str = "
    select t.brand, array(
        select d.name from domain_routes d where d.tenant_id = $1) as domains
    from tenants t where t.id = $1";

/// How the tenant looks now, as far as it has shown that it may.
pub(crate) async fn find_look(tx: &mut TenantTx) -> Result<Look, Error> {
    let own = tx.tenant();
    let Some(row) = tx.query_opt(FIND_LOOK, &[&own]).await? else { return Ok(Look::default()) };
    let domains: Vec<String> = row.get("domains");
    Ok(Look::of(&row.get("brand"), &domains))
}

fn read(row: &Row) -> Result<Letter, Error> {
    let kind: &str = row.get("kind");
    let (tenant, user): (Option<Uuid>, Option<Uuid>) = (row.get("tenant_id"), row.get("user_id"));
    Ok(Letter {
        id: row.get("id"),
        kind: Kind::from_slug(kind).ok_or(Error::Corrupt { column: "kind" })?,
        tenant: tenant.map(TenantId::from_uuid),
        account: row.get("account_id"),
        user: user.map(UserId::from_uuid),
        nonce: row.get("nonce"),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
        detail: row.get("detail"),
    })
}

const NOTE_SENT: &str = "update letters set sent_at = $2 where id = $1";

/// Notes that a letter has left.
pub(super) async fn note_sent(tx: &mut PlatformTx, id: Uuid, now: Timestamp) -> Result<(), Error> {
    tx.execute(NOTE_SENT, &[&id, &now]).await.map(drop)
}

const SPEND: &str = "
    update letters set used_at = $2 where id = $1 and used_at is null and nonce = $3";

/// Uses a letter's link up. Says whether it was still there: of two at once one gets it.
pub(crate) async fn spend(
    tx: &mut PlatformTx,
    letter: &Letter,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(tx.execute(SPEND, &[&letter.id, &now, &letter.nonce]).await? == 1)
}

const SPEND_INSIDE: &str = "
    update letters set used_at = $2
    where tenant_id = $4 and id = $1 and used_at is null and nonce = $3";

/// The same from inside the letter's tenant.
pub(crate) async fn spend_inside(
    tx: &mut TenantTx,
    letter: &Letter,
    now: Timestamp,
) -> Result<bool, Error> {
    let own = tx.tenant();
    Ok(tx.execute(SPEND_INSIDE, &[&letter.id, &now, &letter.nonce, &own]).await? == 1)
}

const SPEND_OTHERS: &str = "
    update letters set used_at = $2
    where account_id = $1 and kind = 'recovery' and used_at is null";

/// Makes every recovery link of an account void.
pub(crate) async fn spend_recoveries(
    tx: &mut PlatformTx,
    account: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(SPEND_OTHERS, &[&account, &now]).await.map(drop)
}

const SWEEP: &str = "
    delete from letters where id in (
        select id from letters where expires_at < $1 and kind <> 'invitation' limit 5000)";

/// Forgets letters whose links stopped working before this time. An invitation stays until it is
/// accepted, withdrawn or sent again.
pub(crate) async fn sweep(tx: &mut PlatformTx, before: Timestamp) -> Result<u64, Error> {
    tx.execute(SWEEP, &[&before]).await
}
