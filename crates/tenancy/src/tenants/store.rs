//! Room `tenancy`: rows of `tenants` and `plans`.

use misy_core::id::TypedId;
use misy_core::{Cursor, Limit, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row, TenantTx};
use serde_json::Value;
use uuid::Uuid;

use super::model::{NewTenant, Status, Tenant};

const INSERT: &str = "
    insert into tenants (id, slug, site_id, name, status, plan, locale, time_zone, business,
        allowed_origins, brand, contacts, shard, residency, created_at, updated_at)
    values ($1, $2, $3, $4, 'provisioning', $5, $6, $7, $8, $9, $11, $12, $13, $14, $10, $10)
    returning *";

const FIND: &str = "select * from tenants where id = $1";

const LIST: &str = "select * from tenants where id > $1 order by id limit $2";

const LIST_BY_STATUS: &str = "
    select * from tenants
    where status = $3 and id > $1 and ($4::text is null or plan = $4) order by id limit $2";

const LIST_BY_PLAN: &str = "
    select * from tenants where plan = $3 and id > $1 order by id limit $2";

const LIST_BY_SLUG: &str = "
    select * from tenants
    where slug = $3 and id > $1 and ($4::text is null or status = $4)
      and ($5::text is null or plan = $5)
    order by id limit $2";

/// Whatever holds a text holds every run of it, of which there is an index; what holds all runs
/// holds the text seldom enough not.
const SEARCH: &str = "
    select * from tenants
    where misy_grams(lower(slug || ' ' || name || ' ' || site_id)) @> misy_grams(lower($3::text))
      and position(lower($3) in lower(slug || ' ' || name || ' ' || site_id)) > 0
      and id > $1 and ($4::text is null or status = $4) and ($5::text is null or plan = $5)
      and ($6::text is null or slug = $6)
    order by id limit $2";

const FIND_SLUG: &str = "
    select * from tenants where slug = $1 order by (status in ('failed', 'purged')), id desc
    limit 1";

const LOCK: &str = "select * from tenants where id = $1 for update";

/// Rows that name the tenant may still be written meanwhile.
const HOLD: &str = "select * from tenants where id = $1 for no key update";

const SET_STATUS: &str = "
    update tenants set status = $2, status_reason = $3, status_note = $6, status_before = $7,
        purge_at = $8, version = version + 1, updated_at = $5
    where id = $1 and status = $4 returning *";

const UPDATE: &str = "
    update tenants set name = $3, locale = $4, time_zone = $5, business = $6, allowed_origins = $7,
        brand = $9, contacts = $10, version = version + 1, updated_at = $8
    where id = $1 and version = $2 returning *";

const UPDATE_WITH_PLAN: &str = "
    update tenants set name = $3, locale = $4, time_zone = $5, business = $6, allowed_origins = $7,
        brand = $9, contacts = $10, plan = $11, residency = $12,
        version = version + 1, updated_at = $8
    where id = $1 and version = $2 returning *";

const ALLOWS_ORIGIN: &str = "
    select exists (
        select from tenants
        where status = 'active' and allowed_origins <> '{}'
          and allowed_origins @> array[$1::text]) as found";

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
                &serde_json::json!(new.brand),
                &serde_json::json!(new.contacts),
                &new.placement.shard,
                &new.placement.residency,
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

/// The tenant that has a slug now; one that is gone only if no other has it.
pub(crate) async fn find_slug(tx: &mut PlatformTx, slug: &str) -> Result<Option<Tenant>, Error> {
    tx.query_opt(FIND_SLUG, &[&slug]).await?.as_ref().map(tenant).transpose()
}

/// A tenant whose status nobody else changes until the transaction ends.
pub(crate) async fn lock(tx: &mut PlatformTx, id: TenantId) -> Result<Option<Tenant>, Error> {
    tx.query_opt(LOCK, &[&id.uuid()]).await?.as_ref().map(tenant).transpose()
}

/// The same for one who writes what belongs to the tenant, over other connections.
pub(crate) async fn hold(tx: &mut PlatformTx, id: TenantId) -> Result<Option<Tenant>, Error> {
    tx.query_opt(HOLD, &[&id.uuid()]).await?.as_ref().map(tenant).transpose()
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
    /// Only those in whose slug, name or site id this occurs.
    pub text: Option<String>,
}

pub(crate) async fn list(
    tx: &mut PlatformTx,
    filter: &Filter,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Tenant>, Error> {
    let after = cursor.map_or(Uuid::nil(), |cursor| cursor.0);
    let (status, fetch) = (filter.status.map(Status::slug), limit.fetch());
    let Filter { plan, slug, text, .. } = filter;
    let rows = match (text, slug, status, plan) {
        (Some(text), ..) => tx.query(SEARCH, &[&after, &fetch, text, &status, plan, slug]).await?,
        (_, Some(slug), ..) => {
            tx.query(LIST_BY_SLUG, &[&after, &fetch, slug, &status, plan]).await?
        }
        (_, _, Some(status), _) => {
            tx.query(LIST_BY_STATUS, &[&after, &fetch, &status, plan]).await?
        }
        (_, _, _, Some(plan)) => tx.query(LIST_BY_PLAN, &[&after, &fetch, plan]).await?,
        _ => tx.query(LIST, &[&after, &fetch]).await?,
    };
    rows.iter().map(tenant).collect()
}

/// Where a tenant goes, and what is said to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) reason: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) before: Option<Status>,
    pub(crate) purge_at: Option<Timestamp>,
}

/// Moves a tenant on, if it still stands where it stood.
pub(crate) async fn set_status(
    tx: &mut PlatformTx,
    before: &Tenant,
    status: Status,
    new: &Standing,
) -> Result<Option<Tenant>, Error> {
    let (id, now) = (before.id.uuid(), tx.ambient().now());
    let (next, last) = (status.slug(), before.status.slug());
    let came_from = new.before.map(Status::slug);
    let params: [&(dyn misy_store::ToSql + Sync); 8] =
        [&id, &next, &new.reason, &last, &now, &new.note, &came_from, &new.purge_at];
    tx.query_opt(SET_STATUS, &params).await?.as_ref().map(tenant).transpose()
}

/// What is written of a changed tenant, but its plan and place.
struct Columns {
    id: Uuid,
    business: Value,
    brand: Value,
    contacts: Value,
}

impl Columns {
    fn of(new: &Tenant) -> Self {
        Self {
            id: new.id.uuid(),
            business: Value::Object(new.business.clone()),
            brand: serde_json::json!(new.brand),
            contacts: serde_json::json!(new.contacts),
        }
    }

    fn params<'a>(
        &'a self,
        new: &'a Tenant,
        now: &'a Timestamp,
    ) -> Vec<&'a (dyn misy_store::ToSql + Sync)> {
        vec![
            &self.id,
            &new.version,
            &new.name,
            &new.locale,
            &new.time_zone,
            &self.business,
            &new.allowed_origins,
            now,
            &self.brand,
            &self.contacts,
        ]
    }
}

/// Writes a changed tenant, if nobody else has changed it meanwhile.
pub(crate) async fn update(tx: &mut PlatformTx, new: &Tenant) -> Result<Option<Tenant>, Error> {
    let (columns, now) = (Columns::of(new), tx.ambient().now());
    let mut params = columns.params(new, &now);
    params.extend([&new.plan as &(dyn misy_store::ToSql + Sync), &new.residency]);
    tx.query_opt(UPDATE_WITH_PLAN, &params).await?.as_ref().map(tenant).transpose()
}

/// The same by one of its own, who cannot change the plan.
pub(crate) async fn update_own(tx: &mut TenantTx, new: &Tenant) -> Result<Option<Tenant>, Error> {
    let (columns, now) = (Columns::of(new), tx.ambient().now());
    // Another tenant's row is not even found, whatever id it is asked for by.
    let columns = Columns { id: tx.tenant(), ..columns };
    tx.query_opt(UPDATE, &columns.params(new, &now)).await?.as_ref().map(tenant).transpose()
}

const CHANGED: &str = "select id, version, status from tenants where updated_at > $1";

const STOPPED: &str = "
    select id, version, status from tenants where status <> 'active'";

/// What is known of a tenant whose row was written lately.
pub(crate) struct Changed {
    pub(crate) id: TenantId,
    pub(crate) version: i64,
    pub(crate) status: Status,
}

/// The tenants whose rows were written since.
pub(crate) async fn list_changed(
    tx: &mut PlatformTx,
    since: Timestamp,
) -> Result<Vec<Changed>, Error> {
    tx.query(CHANGED, &[&since]).await?.iter().map(changed).collect()
}

/// The tenants that do not work.
pub(crate) async fn list_stopped(tx: &mut PlatformTx) -> Result<Vec<Changed>, Error> {
    tx.query(STOPPED, &[]).await?.iter().map(changed).collect()
}

fn changed(row: &Row) -> Result<Changed, Error> {
    let status = Status::parse(row.get("status")).ok_or(Error::Corrupt { column: "status" })?;
    Ok(Changed { id: TenantId::from_uuid(row.get("id")), version: row.get("version"), status })
}

const FIND_BY_SITE: &str = "select id from tenants where site_id = $1";

/// Whose site it is.
pub(crate) async fn find_by_site(
    tx: &mut PlatformTx,
    site_id: &str,
) -> Result<Option<TenantId>, Error> {
    let row = tx.query_opt(FIND_BY_SITE, &[&site_id]).await?;
    Ok(row.map(|row| TenantId::from_uuid(row.get("id"))))
}

/// Whether any tenant allows the origin.
pub(crate) async fn allows_origin(tx: &mut PlatformTx, origin: &str) -> Result<bool, Error> {
    let row = tx.query_opt(ALLOWS_ORIGIN, &[&origin]).await?;
    Ok(row.is_some_and(|row| row.get("found")))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, Error> {
    serde_json::from_value(row.get(column)).map_err(|_| Error::Corrupt { column })
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
        status_note: row.get("status_note"),
        status_before: row
            .get::<_, Option<&str>>("status_before")
            .map(|text| Status::parse(text).ok_or(Error::Corrupt { column: "status_before" }))
            .transpose()?,
        purge_at: row.get("purge_at"),
        shard: row.get("shard"),
        residency: row.get("residency"),
        brand: json(row, "brand")?,
        contacts: json(row, "contacts")?,
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
