//! Room `identity`: rows of policies, of what a tenant declares, and the roles of those who act.

use misy_core::id::TypedId;
use misy_core::{Actor, PolicyId, Timestamp};
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::Policy;

fn read(row: &Row) -> Policy {
    Policy {
        id: PolicyId::from_uuid(row.get("id")),
        name: row.get("name"),
        description: row.get("description"),
        text: row.get("text"),
        forbids: row.get("forbids"),
        template: row.get("template"),
        enabled: row.get("enabled"),
        created_by: row.get("created_by"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

const LIST: &str = "
    select * from policies where tenant_id = $1 and id > $2
    order by id limit $3";

/// Policies after one, oldest first.
pub(super) async fn list(
    tx: &mut TenantTx,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Policy>, Error> {
    let tenant = tx.tenant();
    Ok(tx
        .query(LIST, &[&tenant, &after.unwrap_or_default(), &limit])
        .await?
        .iter()
        .map(read)
        .collect())
}

const ALL: &str = "select * from policies where tenant_id = $1 order by id";

/// All policies of the tenant; there are at most 200.
pub(super) async fn all(tx: &mut TenantTx) -> Result<Vec<Policy>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query(ALL, &[&tenant]).await?.iter().map(read).collect())
}

const FIND: &str = "select * from policies where tenant_id = $1 and id = $2";

/// A policy by id.
pub(super) async fn find(tx: &mut TenantTx, id: PolicyId) -> Result<Option<Policy>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(FIND, &[&tenant, &id.uuid()]).await?.as_ref().map(read))
}

const SAVE: &str = "
    insert into policies (tenant_id, id, name, description, text, forbids, template, enabled,
        version, created_by, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    on conflict (tenant_id, id) do update set name = excluded.name,
        description = excluded.description, text = excluded.text, forbids = excluded.forbids,
        template = excluded.template, enabled = excluded.enabled, version = excluded.version,
        updated_at = excluded.updated_at";

/// Adds a policy, or saves a changed one.
pub(super) async fn save(tx: &mut TenantTx, policy: &Policy) -> Result<(), Error> {
    let (tenant, id) = (tx.tenant(), policy.id.uuid());
    let params: [&(dyn ToSql + Sync); 12] = [
        &tenant,
        &id,
        &policy.name,
        &policy.description,
        &policy.text,
        &policy.forbids,
        &policy.template,
        &policy.enabled,
        &policy.version,
        &policy.created_by,
        &policy.created_at,
        &policy.updated_at,
    ];
    tx.execute(SAVE, &params).await.map(drop)
}

const DELETE: &str = "delete from policies where tenant_id = $1 and id = $2";

/// Removes a policy.
pub(super) async fn delete(tx: &mut TenantTx, id: PolicyId) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &id.uuid()]).await.map(drop)
}

const FIND_SCHEMA: &str = "select text, version from policy_schemas where tenant_id = $1";

/// What the tenant declares for applications of its own, and its version.
pub(super) async fn find_schema(tx: &mut TenantTx) -> Result<Option<(String, i64)>, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(FIND_SCHEMA, &[&tenant]).await?;
    Ok(row.map(|row| (row.get("text"), row.get("version"))))
}

const SAVE_SCHEMA: &str = "
    insert into policy_schemas (tenant_id, text, updated_at) values ($1, $2, $3)
    on conflict (tenant_id) do update set text = excluded.text,
        version = policy_schemas.version + 1, updated_at = excluded.updated_at
    returning version";

/// Saves what the tenant declares; gives its version.
pub(super) async fn save_schema(
    tx: &mut TenantTx,
    text: &str,
    now: Timestamp,
) -> Result<i64, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(SAVE_SCHEMA, &[&tenant, &text, &now]).await?;
    row.map(|row| row.get("version")).ok_or(Error::Corrupt { column: "version" })
}

const ROLES_OF_USER: &str = "
    select array[coalesce(own_role, role)] as roles from users where tenant_id = $1 and id = $2";
const ROLES_OF_KEY: &str = "
    select array_remove(array[k.role, a.role], null) as roles
    from api_keys k
    left join service_accounts a on a.tenant_id = $1 and a.id = k.service_account_id
    where k.tenant_id = $1 and k.id = $2";

/// The slugs of the roles that somebody has by themselves; none if they are gone.
pub(super) async fn roles_of(tx: &mut TenantTx, actor: Actor) -> Result<Vec<String>, Error> {
    let (sql, id) = match actor {
        Actor::User(user) | Actor::Impersonator { user, .. } => (ROLES_OF_USER, user.uuid()),
        Actor::ApiKey(key) => (ROLES_OF_KEY, key.uuid()),
        Actor::Operator(_) | Actor::Channel | Actor::System => return Ok(Vec::new()),
    };
    let tenant = tx.tenant();
    let row = tx.query_opt(sql, &[&tenant, &id]).await?;
    Ok(row.map(|row| row.get("roles")).unwrap_or_default())
}

const PEOPLE: &str = "
    select id, coalesce(own_role, role) as slug from users
    where tenant_id = $1 and status = 'active' order by id limit $2";

/// The people who can sign in, each with the slug of their role, oldest first.
pub(super) async fn people(tx: &mut TenantTx, limit: i64) -> Result<Vec<(Uuid, String)>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(PEOPLE, &[&tenant, &limit]).await?;
    Ok(rows.iter().map(|row| (row.get("id"), row.get("slug"))).collect())
}
