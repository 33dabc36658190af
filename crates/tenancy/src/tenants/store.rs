//! Room `tenancy`: rows of `tenants` and `plans`.

use misy_core::id::TypedId;
use misy_core::{Cursor, Limit, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use serde_json::Value;

use super::model::{NewTenant, Status, Tenant};

const INSERT: &str = "
    insert into tenants (id, slug, site_id, name, status, plan, locale, time_zone, business,
        allowed_origins, created_at, updated_at)
    values ($1, $2, $3, $4, 'provisioning', $5, $6, $7, $8, $9, $10, $10)
    returning *";

const FIND: &str = "select * from tenants where id = $1";

const LIST: &str = "
    select * from tenants
    where ($1::uuid is null or id > $1) and ($2::text is null or status = $2)
      and ($3::text is null or plan = $3) and ($4::text is null or slug = $4)
    order by id limit $5";

const INSERT_SEED: &str = "insert into provisionings (tenant_id, seed) values ($1, $2)";

const FIND_SEED: &str = "select seed from provisionings where tenant_id = $1";

const DELETE_SEED: &str = "delete from provisionings where tenant_id = $1";

const SET_STATUS: &str = "
    update tenants set status = $2, status_reason = $3, version = version + 1, updated_at = $5
    where id = $1 and status = $4 returning *";

const UPDATE: &str = "
    update tenants set name = $3, locale = $4, time_zone = $5, business = $6, allowed_origins = $7,
        version = version + 1, updated_at = $8
    where id = $1 and version = $2 returning *";

const UPDATE_WITH_PLAN: &str = "
    update tenants set name = $3, locale = $4, time_zone = $5, business = $6, allowed_origins = $7,
        version = version + 1, updated_at = $8, plan = $9
    where id = $1 and version = $2 returning *";

const ALLOWS_ORIGIN: &str = "
    select exists (
        select from tenants where status = 'active' and $1 = any(allowed_origins)) as found";

const PLAN_LIMITS: &str = "select limits from plans where id = $1";

pub(crate) async fn insert(
    tx: &mut PlatformTx,
    id: TenantId,
    site_id: &str,
    new: &NewTenant,
) -> Result<Tenant, Error> {
    let (business, now) = (Value::Object(new.business.clone()), tx.ambient().now());
    let row = tx
        .query_opt(
            INSERT,
            &[
                &id.uuid(),
                &new.slug,
                &site_id,
                &new.name,
                &new.plan,
                &new.locale,
                &new.time_zone,
                &business,
                &new.allowed_origins,
                &now,
            ],
        )
        .await?;
    tenant(&row.ok_or(Error::Aborted)?)
}

pub(crate) async fn find(tx: &mut PlatformTx, id: TenantId) -> Result<Option<Tenant>, Error> {
    tx.query_opt(FIND, &[&id.uuid()]).await?.as_ref().map(tenant).transpose()
}

/// The tenant itself, read by one of its own.
pub(crate) async fn find_own(tx: &mut TenantTx) -> Result<Option<Tenant>, Error> {
    tx.query_opt(FIND, &[&tx.tenant()]).await?.as_ref().map(tenant).transpose()
}

/// Keeps, sealed, what provisioning needs beside the tenant's own row.
pub(crate) async fn insert_seed(
    tx: &mut PlatformTx,
    id: TenantId,
    sealed: &[u8],
) -> Result<(), Error> {
    tx.execute(INSERT_SEED, &[&id.uuid(), &sealed]).await.map(drop)
}

/// What [`insert_seed`] kept, if provisioning has not ended.
pub(crate) async fn find_seed(tx: &mut PlatformTx, id: TenantId) -> Result<Option<Vec<u8>>, Error> {
    Ok(tx.query_opt(FIND_SEED, &[&id.uuid()]).await?.map(|row| row.get("seed")))
}

/// Forgets it, for it holds the owner's password.
pub(crate) async fn delete_seed(tx: &mut PlatformTx, id: TenantId) -> Result<(), Error> {
    tx.execute(DELETE_SEED, &[&id.uuid()]).await.map(drop)
}

/// By which properties tenants are listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those with this plan.
    pub plan: Option<String>,
    /// Only the one with this slug.
    pub slug: Option<String>,
}

pub(crate) async fn list(
    tx: &mut PlatformTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Tenant>, Error> {
    let after = cursor.map(|cursor| cursor.0);
    let status = filter.status.map(Status::slug);
    let rows =
        tx.query(LIST, &[&after, &status, &filter.plan, &filter.slug, &limit.fetch()]).await?;
    rows.iter().map(tenant).collect()
}

/// Moves a tenant on, if it still stands where it stood.
pub(crate) async fn set_status(
    tx: &mut PlatformTx,
    before: &Tenant,
    status: Status,
    reason: Option<&str>,
) -> Result<Option<Tenant>, Error> {
    let (id, now) = (before.id.uuid(), tx.ambient().now());
    let (next, last) = (status.slug(), before.status.slug());
    let row = tx.query_opt(SET_STATUS, &[&id, &next, &reason, &last, &now]).await?;
    row.as_ref().map(tenant).transpose()
}

/// Writes a changed tenant, if nobody else has changed it meanwhile.
pub(crate) async fn update(tx: &mut PlatformTx, new: &Tenant) -> Result<Option<Tenant>, Error> {
    let (business, now) = (Value::Object(new.business.clone()), tx.ambient().now());
    let row = tx
        .query_opt(
            UPDATE_WITH_PLAN,
            &[
                &new.id.uuid(),
                &new.version,
                &new.name,
                &new.locale,
                &new.time_zone,
                &business,
                &new.allowed_origins,
                &now,
                &new.plan,
            ],
        )
        .await?;
    row.as_ref().map(tenant).transpose()
}

/// The same by one of its own, who cannot change the plan.
pub(crate) async fn update_own(tx: &mut TenantTx, new: &Tenant) -> Result<Option<Tenant>, Error> {
    let (business, now) = (Value::Object(new.business.clone()), tx.ambient().now());
    let own = tx.tenant();
    let params: [&(dyn misy_store::ToSql + Sync); 8] = [
        &own,
        &new.version,
        &new.name,
        &new.locale,
        &new.time_zone,
        &business,
        &new.allowed_origins,
        &now,
    ];
    tx.query_opt(UPDATE, &params).await?.as_ref().map(tenant).transpose()
}

const CHANGED: &str = "select id, version from tenants where updated_at > $1";

/// The tenants whose rows were written since, and the versions they have now.
pub(crate) async fn list_changed(
    tx: &mut PlatformTx,
    since: Timestamp,
) -> Result<Vec<(TenantId, i64)>, Error> {
    let rows = tx.query(CHANGED, &[&since]).await?;
    Ok(rows.iter().map(|row| (TenantId::from_uuid(row.get("id")), row.get("version"))).collect())
}

/// Whether any tenant allows the origin.
pub(crate) async fn allows_origin(tx: &mut PlatformTx, origin: &str) -> Result<bool, Error> {
    let row = tx.query_opt(ALLOWS_ORIGIN, &[&origin]).await?;
    Ok(row.is_some_and(|row| row.get("found")))
}

/// The limits of a plan as `{name: count}`; `None` if there is no such plan.
pub(crate) async fn find_plan_limits(
    tx: &mut PlatformTx,
    plan: &str,
) -> Result<Option<Value>, Error> {
    Ok(tx.query_opt(PLAN_LIMITS, &[&plan]).await?.map(|row| row.get("limits")))
}

fn tenant(row: &Row) -> Result<Tenant, Error> {
    let status: &str = row.get("status");
    let Value::Object(business) = row.get("business") else {
        return Err(Error::Corrupt { column: "business" });
    };
    Ok(Tenant {
        id: TenantId::from_uuid(row.get("id")),
        slug: row.get("slug"),
        site_id: row.get("site_id"),
        name: row.get("name"),
        status: Status::parse(status).ok_or(Error::Corrupt { column: "status" })?,
        status_reason: row.get("status_reason"),
        plan: row.get("plan"),
        locale: row.get("locale"),
        time_zone: row.get("time_zone"),
        business,
        allowed_origins: row.get("allowed_origins"),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}
