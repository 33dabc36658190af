//! Room `identity`: accounts, their passwords and what those open.

use misy_core::id::TypedId;
use misy_core::{OperatorId, Role, TenantId, Timestamp, UserId};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::{Belonging, Credential, Email, Person, Standing};

/// The realm of operators' passwords.
pub(crate) const PLATFORM: Uuid = Uuid::nil();

const LIST_CREDENTIALS: &str = "
    select c.password_hash, r.slug, a.id as account_id,
           m.tenant_id, m.user_id, m.role, coalesce(m.uv, o.uv) as uv,
           coalesce(m.era, o.era) as era, o.id as operator_id,
           o.role as operator_role
    from accounts a
    join credentials c on c.account_id = a.id
    left join realms r on r.tenant_id = c.realm
    left join memberships m on m.account_id = a.id and m.tenant_id = c.realm
         and m.status = 'active' and a.status = 'active'
    left join operators o on o.account_id = a.id and c.realm = $2
         and o.status = 'active' and a.status = 'active'
    where a.email = $1
    order by c.realm";

/// Every password of the account with this address, and what each opens now.
pub(crate) async fn list_credentials(
    tx: &mut PlatformTx,
    email: &Email,
) -> Result<Vec<Credential>, Error> {
    let rows = tx.query(LIST_CREDENTIALS, &[&email.as_str(), &PLATFORM]).await?;
    let credential = |row: &Row| {
        let opens = standing(row)?;
        Ok(Credential { hash: row.get("password_hash"), slug: row.get("slug"), opens })
    };
    rows.iter().map(credential).collect()
}

/// Reads `account_id`, `uv`, `era` and either `operator_id` and `operator_role` or `tenant_id`,
/// `user_id` and `role`.
pub(crate) fn standing(row: &Row) -> Result<Option<Standing>, Error> {
    let operator: Option<Uuid> = row.get("operator_id");
    let user: Option<Uuid> = row.get("user_id");
    let person = match (operator, user) {
        (Some(operator), _) => staff(OperatorId::from_uuid(operator), row)?,
        (None, Some(user)) => Person::User {
            tenant: TenantId::from_uuid(row.get("tenant_id")),
            user: UserId::from_uuid(user),
            role: crate::roles::store::read_role(row)?,
        },
        (None, None) => return Ok(None),
    };
    let (account, uv, era) = (row.get("account_id"), row.get("uv"), row.get("era"));
    Ok(Some(Standing { account, person, uv, era }))
}

/// A row without the role is nobody's: what is not said must not make an operator.
fn staff(operator: OperatorId, row: &Row) -> Result<Person, Error> {
    let corrupt = || Error::Corrupt { column: "operator_role" };
    let slug: &str = row.try_get("operator_role").map_err(|_| corrupt())?;
    match slug.parse().map_err(|_| corrupt())? {
        Role::Operator => Ok(Person::Operator(operator)),
        role if Role::OF_PLATFORM.contains(&role) => Ok(Person::Staff { operator, role }),
        _ => Err(corrupt()),
    }
}

const FIND_CREDENTIAL: &str = "
    select a.email, c.password_hash from accounts a
    join credentials c on c.account_id = a.id and c.realm = $2 where a.id = $1";

/// The address of an account and the hash of its password for a realm.
pub(crate) async fn find_credential(
    tx: &mut PlatformTx,
    account: Uuid,
    realm: Uuid,
) -> Result<Option<(String, String)>, Error> {
    let row = tx.query_opt(FIND_CREDENTIAL, &[&account, &realm]).await?;
    Ok(row.map(|row| (row.get("email"), row.get("password_hash"))))
}

/// The versions of a person after their password was changed.
pub(crate) struct Bumped {
    pub(crate) uv: i64,
    pub(crate) era: i64,
}

const CHANGE_PASSWORD: &str = "
    with changed as (
        update credentials set password_hash = $3, changed_at = $4,
            proved_at = coalesce($6, proved_at)
        where account_id = $1 and realm = $2 returning account_id, realm),
    member as (
        update memberships m set uv = uv + 1 from changed
        where m.account_id = changed.account_id and m.tenant_id = changed.realm
        returning m.uv, m.era),
    operator as (
        update operators o set uv = uv + 1 from changed
        where o.account_id = changed.account_id and changed.realm = $5
        returning o.uv, o.era)
    select uv, era from member union all select uv, era from operator";

/// Replaces the password of a realm and raises the version of the person it is of. `proved` is when
/// the person showed that the address is theirs, if they just did.
pub(crate) async fn change_password(
    tx: &mut PlatformTx,
    account: Uuid,
    realm: Uuid,
    hash: &str,
    now: Timestamp,
    proved: Option<Timestamp>,
) -> Result<Option<Bumped>, Error> {
    let row =
        tx.query_opt(CHANGE_PASSWORD, &[&account, &realm, &hash, &now, &PLATFORM, &proved]).await?;
    Ok(row.map(|row| Bumped { uv: row.get("uv"), era: row.get("era") }))
}

const PROVE: &str = "
    update credentials set proved_at = coalesce(proved_at, $3)
    where account_id = $1 and realm = $2";

/// Notes that the person showed that the address is theirs. Says whether there is a password to
/// note it of.
pub(crate) async fn prove(
    tx: &mut PlatformTx,
    account: Uuid,
    realm: Uuid,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(tx.execute(PROVE, &[&account, &realm, &now]).await? == 1)
}

const STANDING_IN_REALM: &str = "
    select a.id as account_id, m.tenant_id, m.user_id, m.role, coalesce(m.uv, o.uv) as uv,
           coalesce(m.era, o.era) as era, o.id as operator_id, o.role as operator_role,
           a.email, r.slug
    from accounts a
    left join realms r on r.tenant_id = $2
    left join memberships m on m.account_id = a.id and m.tenant_id = $2 and m.status = 'active'
    left join operators o on o.account_id = a.id and $2 = $3 and o.status = 'active'
    where a.id = $1 and a.status = 'active'";

/// Who somebody is where they signed in.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) standing: Standing,
    /// Their address.
    pub(crate) email: String,
    /// The tenant's name at sign-in.
    pub(crate) slug: Option<String>,
}

fn located(row: Option<Row>) -> Result<Option<Located>, Error> {
    let Some(row) = row else { return Ok(None) };
    let Some(standing) = standing(&row)? else { return Ok(None) };
    Ok(Some(Located { standing, email: row.get("email"), slug: row.get("slug") }))
}

/// Who the account is in this realm now; `None` if they may not sign in there.
pub(crate) async fn find_in_realm(
    tx: &mut PlatformTx,
    account: Uuid,
    realm: Uuid,
) -> Result<Option<Located>, Error> {
    located(tx.query_opt(STANDING_IN_REALM, &[&account, &realm, &PLATFORM]).await?)
}

const STANDING_OF_USER: &str = "
    select a.id as account_id, m.tenant_id, m.user_id, m.role, m.uv, m.era,
           null::uuid as operator_id, a.email, r.slug
    from memberships m join accounts a on a.id = m.account_id and a.status = 'active'
    left join realms r on r.tenant_id = m.tenant_id
    where m.tenant_id = $1 and m.user_id = $2 and m.status = 'active'";

/// The same by the person of a tenant.
pub(crate) async fn find_user(
    tx: &mut PlatformTx,
    tenant: TenantId,
    user: UserId,
) -> Result<Option<Located>, Error> {
    located(tx.query_opt(STANDING_OF_USER, &[&tenant.uuid(), &user.uuid()]).await?)
}

const BELONGINGS: &str = "
    select m.tenant_id, r.slug, m.role from memberships own
    join credentials c on c.account_id = own.account_id and c.realm = own.tenant_id
    join memberships m on m.account_id = own.account_id and m.status = 'active'
    left join realms r on r.tenant_id = m.tenant_id
    where own.tenant_id = $1 and own.user_id = $2 and c.proved_at is not null
    order by r.slug";

/// Every tenant of a person who showed that the address is theirs; of anybody else nothing, for
/// whoever made their password would read it.
pub(crate) async fn list_belongings(
    tx: &mut PlatformTx,
    tenant: TenantId,
    user: UserId,
) -> Result<Vec<Belonging>, Error> {
    let rows = tx.query(BELONGINGS, &[&tenant.uuid(), &user.uuid()]).await?;
    let belonging = |row: &Row| Belonging {
        tenant: TenantId::from_uuid(row.get("tenant_id")),
        slug: row.get("slug"),
        role: row.get("role"),
    };
    Ok(rows.iter().map(belonging).collect())
}

const ACCOUNT_OF: &str = "select misy_account_of($1, $2) as id";

/// The account of an address, made if there is none.
pub(crate) async fn account_of(tx: &mut TenantTx, email: &Email) -> Result<Uuid, Error> {
    let new_id = tx.ambient().uuid();
    let row = tx.query_opt(ACCOUNT_OF, &[&email.as_str(), &new_id]).await?;
    row.map(|row| row.get("id")).ok_or(Error::Corrupt { column: "id" })
}

const INSERT_CREDENTIAL: &str = "
    insert into credentials (account_id, realm, password_hash, proved_at) values ($1, $2, $3, $4)
    on conflict (account_id, realm) do nothing";

/// Gives an account a password for this tenant, unless it has one. Says whether it did. `proved` is
/// when its person showed that the address is theirs.
pub(crate) async fn insert_credential(
    tx: &mut TenantTx,
    account: Uuid,
    hash: &str,
    proved: Option<Timestamp>,
) -> Result<bool, Error> {
    let realm = tx.tenant();
    Ok(tx.execute(INSERT_CREDENTIAL, &[&account, &realm, &hash, &proved]).await? == 1)
}

const DELETE_CREDENTIAL: &str = "delete from credentials where account_id = $1 and realm = $2";

/// Takes away an account's password for this tenant.
pub(crate) async fn delete_credential(tx: &mut TenantTx, account: Uuid) -> Result<(), Error> {
    let realm = tx.tenant();
    tx.execute(DELETE_CREDENTIAL, &[&account, &realm]).await.map(drop)
}

const SAVE_REALM: &str = "
    insert into realms (tenant_id, slug) values ($1, $2)
    on conflict (tenant_id) do update set slug = excluded.slug";

/// The name by which this tenant is meant at sign-in.
pub(crate) async fn save_realm(tx: &mut TenantTx, slug: &str) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(SAVE_REALM, &[&tenant, &slug]).await.map(drop)
}

const FIND_SLUG: &str = "select slug from realms where tenant_id = $1";

/// The name of this tenant at sign-in.
pub(crate) async fn find_slug(tx: &mut TenantTx) -> Result<Option<String>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(FIND_SLUG, &[&tenant]).await?.map(|row| row.get("slug")))
}

const FIND_OPERATOR: &str = "
    select a.email from operators o join accounts a on a.id = o.account_id where o.id = $1";

/// The address of an operator.
pub(crate) async fn find_operator_email(
    tx: &mut PlatformTx,
    operator: OperatorId,
) -> Result<Option<String>, Error> {
    let row = tx.query_opt(FIND_OPERATOR, &[&operator.uuid()]).await?;
    Ok(row.map(|row| row.get("email")))
}

const LOCK_OPERATORS: &str = "select pg_advisory_xact_lock(hashtextextended('misy.operators', 0))";
const COUNT_OPERATORS: &str = "select count(*) as count from operators";

/// How many operators there are; nobody else makes one until the transaction ends. Two statements:
/// the second one sees what was committed while the first one waited.
pub(super) async fn count_operators(tx: &mut PlatformTx) -> Result<i64, Error> {
    tx.query(LOCK_OPERATORS, &[]).await?;
    let row = tx.query_opt(COUNT_OPERATORS, &[]).await?;
    Ok(row.map_or(0, |row| row.get("count")))
}

const INSERT_OPERATOR: &str = "
    with account as (
        insert into accounts (id, email) values ($1, $2)
        on conflict (email) do update set email = excluded.email returning id),
    credential as (
        insert into credentials (account_id, realm, password_hash)
        select id, $4, $5 from account)
    insert into operators (id, account_id) select $3, id from account";

/// Makes an operator with a password for the platform.
pub(super) async fn insert_operator(
    tx: &mut PlatformTx,
    id: OperatorId,
    email: &Email,
    hash: &str,
) -> Result<(), Error> {
    let account = tx.ambient().uuid();
    tx.execute(INSERT_OPERATOR, &[&account, &email.as_str(), &id.uuid(), &PLATFORM, &hash])
        .await
        .map(drop)
}

const LOCK_UNUSED: &str = "
    select a.id from accounts a
    where not exists (select from memberships m where m.account_id = a.id)
      and not exists (select from credentials c where c.account_id = a.id)
      and not exists (select from operators o where o.account_id = a.id)
    limit 500 for update skip locked";

const DELETE_UNUSED: &str = "
    delete from accounts a where a.id = any($1)
      and not exists (select from memberships m where m.account_id = a.id)
      and not exists (select from credentials c where c.account_id = a.id)";

/// Forgets addresses that no tenant knows any more. Looked at twice: the second statement sees what
/// was committed before the rows were locked.
pub(crate) async fn sweep_unused(tx: &mut PlatformTx) -> Result<u64, Error> {
    let rows = tx.query(LOCK_UNUSED, &[]).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    tx.execute(DELETE_UNUSED, &[&ids]).await
}
