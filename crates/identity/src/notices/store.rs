//! Room `identity`: rows of notices, written by whoever changes the thing itself.

use misy_core::id::TypedId;
use misy_core::{Permission, Role, ServiceAccountId};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use uuid::Uuid;

use super::model::{Effect, Kind, Notice};

/// Transactions below the snapshot's `xmin` have ended, so the next look may begin there.
const LIST_SINCE: &str = "
    select pg_snapshot_xmin(pg_current_snapshot())::text as next, tenant_id, subject, role,
           permissions, version, keys
    from (select) as always
    left join access_notices on txid >= $1::text::xid8 and kind in ('user', 'policies')";

/// Everything about people and policies that was committed since the last look, and where the next
/// one begins.
pub(super) async fn list_since(
    tx: &mut PlatformTx,
    since: &str,
) -> Result<(Vec<Notice>, String), Error> {
    let rows = tx.query(LIST_SINCE, &[&since]).await?;
    let next = rows.first().map_or_else(|| since.to_owned(), |row| row.get("next"));
    Ok((rows.iter().filter_map(notice).collect(), next))
}

fn notice(row: &Row) -> Option<Notice> {
    let (tenant, subject): (Option<Uuid>, Option<Uuid>) =
        (row.get("tenant_id"), row.get("subject"));
    let (tenant, subject) = tenant.zip(subject)?;
    let effect = joined(row, "role", "permissions");
    let (version, keys) = (row.get("version"), row.get("keys"));
    Some(Notice { tenant, subject, effect, version, keys })
}

/// Reads an effect whose row may be missing, from columns of other names.
pub(crate) fn joined(row: &Row, base: &str, permissions: &str) -> Effect {
    let permissions: Option<Vec<String>> = row.get(permissions);
    Effect::from_columns(row.get(base), &permissions.unwrap_or_default())
}

const SAVE: &str = "
    insert into access_notices (subject, tenant_id, kind, role, permissions, disabled)
    values ($2, $1, $3, $4, $5, $6)
    on conflict (subject) do update
        set role = excluded.role, permissions = excluded.permissions,
            disabled = excluded.disabled, txid = pg_current_xact_id()";

/// Tells what somebody's role comes to from now on.
pub(crate) async fn save(
    tx: &mut TenantTx,
    subject: Uuid,
    kind: Kind,
    effect: &Effect,
    disabled: bool,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    let base = effect.base.map(Role::slug);
    let permissions: Vec<&str> = effect.permissions.iter().map(|one| one.slug()).collect();
    tx.execute(SAVE, &[&tenant, &subject, &kind.slug(), &base, &permissions, &disabled])
        .await
        .map(drop)
}

const SPREAD: &str = "
    with bearers as (
        select id, 'user' as kind, own_role as slug from users
        where tenant_id = $1 and own_role = any($2)
        union all
        select id, 'key', role from api_keys
        where tenant_id = $1 and role = any($2) and status = 'active'
        union all
        select id, 'account', role from service_accounts
        where tenant_id = $1 and role = any($2))
    insert into access_notices as notice (subject, tenant_id, kind, role, permissions)
    select bearers.id, $1, bearers.kind, effects.base,
           coalesce(string_to_array(nullif(effects.permissions, ''), ' '), '{}')
    from bearers
    join unnest($2::text[], $3::text[], $4::text[]) as effects (slug, base, permissions)
      on effects.slug = bearers.slug
    on conflict (subject) do update
        set role = excluded.role, permissions = excluded.permissions,
            txid = pg_current_xact_id()";

/// Tells every bearer of these roles, in one statement, what they come to from now on.
pub(crate) async fn spread(tx: &mut TenantTx, effects: &[(String, Effect)]) -> Result<u64, Error> {
    let tenant = tx.tenant();
    let slugs: Vec<&str> = effects.iter().map(|(slug, _)| slug.as_str()).collect();
    let bases: Vec<Option<&str>> =
        effects.iter().map(|(_, effect)| effect.base.map(Role::slug)).collect();
    let words = |effect: &Effect| {
        let slugs: Vec<&str> =
            effect.permissions.iter().map(|one| Permission::slug(*one)).collect();
        slugs.join(" ")
    };
    let permissions: Vec<String> = effects.iter().map(|(_, effect)| words(effect)).collect();
    tx.execute(SPREAD, &[&tenant, &slugs, &bases, &permissions]).await
}

const DISABLE: &str = "
    update access_notices set disabled = $3, txid = pg_current_xact_id()
    where tenant_id = $1 and subject = $2";

/// Lets the keys of a service account die, or live again.
pub(crate) async fn disable(
    tx: &mut TenantTx,
    account: ServiceAccountId,
    disabled: bool,
) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DISABLE, &[&tenant, &account.uuid(), &disabled]).await.map(drop)
}

const DELETE: &str = "delete from access_notices where tenant_id = $1 and subject = $2";

/// Forgets what only look-ups read: a key or a service account.
pub(crate) async fn delete(tx: &mut TenantTx, subject: Uuid) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(DELETE, &[&tenant, &subject]).await.map(drop)
}

const RAISE_POLICIES: &str = "
    insert into access_notices (subject, tenant_id, kind, version) values ($1, $1, 'policies', 1)
    on conflict (subject) do update
        set version = access_notices.version + 1, txid = pg_current_xact_id()
    returning version";

/// Tells that the tenant's policies changed; gives their new version. Two changes of one tenant
/// come one after the other from here on.
pub(crate) async fn raise_policies(tx: &mut TenantTx) -> Result<i64, Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(RAISE_POLICIES, &[&tenant]).await?;
    row.map(|row| row.get("version")).ok_or(Error::Corrupt { column: "version" })
}

const RAISE_KEYS: &str = "
    insert into access_notices (subject, tenant_id, kind, keys) values ($1, $1, 'policies', 1)
    on conflict (subject) do update
        set keys = access_notices.keys + 1, txid = pg_current_xact_id()";

/// Tells that a key of the tenant is another than it was, or may something else. Without it a key
/// that was looked up before goes on as it was.
pub(crate) async fn raise_keys(tx: &mut TenantTx) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(RAISE_KEYS, &[&tenant]).await.map(drop)
}
