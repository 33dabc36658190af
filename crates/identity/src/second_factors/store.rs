//! Room `identity`: rows of second factors, of recovery codes and of what is needed.

use misy_core::Timestamp;
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::Factor;

/// Whose: an account in a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) account: Uuid,
    pub(crate) realm: Uuid,
}

fn read(row: &Row) -> Factor {
    Factor {
        id: row.get("id"),
        sealed_seed: row.get("sealed_seed"),
        last_step: row.get("last_step"),
        confirmed_at: row.get("confirmed_at"),
        failures: row.get("failures"),
        retry_at: row.get("retry_at"),
        recovery_codes_left: row.get("codes_left"),
    }
}

const FIND: &str = "
    select f.*, (select count(*) from recovery_codes c
        where c.account_id = f.account_id and c.realm = f.realm) as codes_left
    from second_factors f where f.account_id = $1 and f.realm = $2";

/// The factor of a person, confirmed or not.
pub(crate) async fn find(tx: &mut PlatformTx, owner: Owner) -> Result<Option<Factor>, Error> {
    let row = tx.query_opt(FIND, &[&owner.account, &owner.realm]).await?;
    Ok(row.as_ref().map(read))
}

const LOCK: &str = "
    select f.*, 0::bigint as codes_left
    from second_factors f where f.account_id = $1 and f.realm = $2 for update";

/// The same; two tries come one after the other until the transaction ends.
pub(super) async fn lock(tx: &mut PlatformTx, owner: Owner) -> Result<Option<Factor>, Error> {
    let row = tx.query_opt(LOCK, &[&owner.account, &owner.realm]).await?;
    Ok(row.as_ref().map(read))
}

const SAVE: &str = "
    insert into second_factors (account_id, realm, id, sealed_seed, created_at)
    values ($1, $2, $3, $4, $5)
    on conflict (account_id, realm) do update
        set id = excluded.id, sealed_seed = excluded.sealed_seed, last_step = 0, failures = 0,
            retry_at = null, created_at = excluded.created_at
        where second_factors.confirmed_at is null";

/// Sets up a factor that has yet to be confirmed; one that is confirmed stays. Says whether it did.
pub(super) async fn save(
    tx: &mut PlatformTx,
    owner: Owner,
    id: Uuid,
    sealed_seed: &[u8],
    now: Timestamp,
) -> Result<bool, Error> {
    let saved = tx.execute(SAVE, &[&owner.account, &owner.realm, &id, &sealed_seed, &now]).await?;
    Ok(saved == 1)
}

const TAKE_STEP: &str = "
    update second_factors
    set last_step = $3, failures = 0, retry_at = null, confirmed_at = coalesce(confirmed_at, $4)
    where account_id = $1 and realm = $2 and last_step < $3";

/// Takes the code of a step, which confirms the factor. Says whether it was still to be had.
pub(super) async fn take_step(
    tx: &mut PlatformTx,
    owner: Owner,
    step: i64,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(tx.execute(TAKE_STEP, &[&owner.account, &owner.realm, &step, &now]).await? == 1)
}

const TAKE_CODE: &str = "
    with taken as (
        delete from recovery_codes where account_id = $1 and realm = $2 and hash = $3
        returning account_id, realm)
    update second_factors f set failures = 0, retry_at = null from taken
    where f.account_id = taken.account_id and f.realm = taken.realm";

/// Takes a recovery code. Says whether it was still to be had.
pub(super) async fn take_code(
    tx: &mut PlatformTx,
    owner: Owner,
    hash: &[u8],
) -> Result<bool, Error> {
    Ok(tx.execute(TAKE_CODE, &[&owner.account, &owner.realm, &hash]).await? == 1)
}

const FAIL: &str = "
    update second_factors set failures = failures + 1, retry_at = $3
    where account_id = $1 and realm = $2";

/// Counts a wrong code.
pub(super) async fn fail(
    tx: &mut PlatformTx,
    owner: Owner,
    retry_at: Option<Timestamp>,
) -> Result<(), Error> {
    tx.execute(FAIL, &[&owner.account, &owner.realm, &retry_at]).await.map(drop)
}

const DELETE_CODES: &str = "delete from recovery_codes where account_id = $1 and realm = $2";
const INSERT_CODES: &str = "
    insert into recovery_codes (account_id, realm, hash)
    select $1, $2, hash from unnest($3::bytea[]) as new (hash)";

/// Replaces all recovery codes.
pub(super) async fn replace_codes(
    tx: &mut PlatformTx,
    owner: Owner,
    hashes: &[Vec<u8>],
) -> Result<(), Error> {
    tx.execute(DELETE_CODES, &[&owner.account, &owner.realm]).await?;
    tx.execute(INSERT_CODES, &[&owner.account, &owner.realm, &hashes]).await.map(drop)
}

const DELETE: &str = "delete from second_factors where account_id = $1 and realm = $2";

/// Removes a factor and its recovery codes.
pub(super) async fn delete(tx: &mut PlatformTx, owner: Owner) -> Result<(), Error> {
    tx.execute(DELETE, &[&owner.account, &owner.realm]).await.map(drop)
}

/// The same by an administrator, for a person of the tenant. Says whether there was one.
pub(crate) async fn delete_inside(tx: &mut TenantTx, account: Uuid) -> Result<bool, Error> {
    let realm = tx.tenant();
    Ok(tx.execute(DELETE, &[&account, &realm]).await? == 1)
}

const IS_NEEDED: &str = "
    select exists (select from second_factor_rules rule where rule.tenant_id = $1 and (
        rule.role = $2 or rule.role in (
            select notice.role from access_notices notice
            where notice.tenant_id = $1 and notice.subject = $3 and notice.kind = 'user'))
        ) as needed";

/// Whether the person's role needs a second factor in the tenant, or the built-in one that their
/// role of the tenant's own inherits from.
pub(crate) async fn is_needed(
    tx: &mut PlatformTx,
    tenant: Uuid,
    user: Uuid,
    role: &str,
) -> Result<bool, Error> {
    let row = tx.query_opt(IS_NEEDED, &[&tenant, &role, &user]).await?;
    Ok(row.is_some_and(|row| row.get("needed")))
}

const LIST_NEEDING: &str = "
    select role from second_factor_rules where tenant_id = $1 order by role";

/// The roles that need a second factor.
pub(super) async fn list_needing(tx: &mut TenantTx) -> Result<Vec<String>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(LIST_NEEDING, &[&tenant]).await?;
    Ok(rows.iter().map(|row| row.get("role")).collect())
}

const DROP_RULES: &str = "
    delete from second_factor_rules where tenant_id = $1 and role <> all ($2)";
const ADD_RULES: &str = "
    insert into second_factor_rules (tenant_id, role)
    select $1, r.slug from roles r where r.tenant_id = $1 and r.built_in and r.slug = any ($2)
    on conflict (tenant_id, role) do nothing returning role";

/// Says which roles need a second factor; gives those that are new.
pub(super) async fn save_rules(tx: &mut TenantTx, roles: &[String]) -> Result<Vec<String>, Error> {
    let tenant = tx.tenant();
    tx.execute(DROP_RULES, &[&tenant, &roles]).await?;
    let rows = tx.query(ADD_RULES, &[&tenant, &roles]).await?;
    Ok(rows.iter().map(|row| row.get("role")).collect())
}

const RAISE_HOLDERS: &str = "
    update memberships set uv = uv + 1 where tenant_id = $1 and (role = any ($2) or user_id in (
        select subject from access_notices
        where tenant_id = $1 and kind = 'user' and role = any ($2)))
    returning user_id, uv";

/// Raises the version of everybody who has one of these roles: their tokens are judged anew.
pub(super) async fn raise_holders(
    tx: &mut TenantTx,
    roles: &[String],
) -> Result<Vec<(Uuid, i64)>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(RAISE_HOLDERS, &[&tenant, &roles]).await?;
    Ok(rows.iter().map(|row| (row.get("user_id"), row.get("uv"))).collect())
}
