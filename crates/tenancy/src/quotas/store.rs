//! Room `tenancy`: rows of `tenant_quotas`.

use misy_store::{Error, TenantTx};

use super::model::Quota;

/// Writes the plan's limits, removes those the plan no longer has, leaves an operator's alone.
const ADOPT: &str = "
    with wanted as (select * from unnest($2::text[], $3::int8[]) as new (name, max_count)),
    gone as (
        delete from tenant_quotas where tenant_id = $1 and source = 'plan'
          and name not in (select name from wanted))
    insert into tenant_quotas (tenant_id, name, max_count, source, updated_at)
    select $1, name, max_count, 'plan', $4 from wanted
    on conflict (tenant_id, name) do update
        set max_count = excluded.max_count, updated_at = excluded.updated_at
        where tenant_quotas.source = 'plan'";

/// Makes these an operator's, whatever they were, and gives the operator's others back to the plan.
const OVERRIDE: &str = "
    with wanted as (select * from unnest($2::text[], $3::int8[]) as new (name, max_count)),
    given_back as (
        delete from tenant_quotas where tenant_id = $1 and source = 'operator'
          and name not in (select name from wanted))
    insert into tenant_quotas (tenant_id, name, max_count, source, updated_at)
    select $1, name, max_count, 'operator', $4 from wanted
    on conflict (tenant_id, name) do update
        set max_count = excluded.max_count, source = excluded.source,
            updated_at = excluded.updated_at";

const LIST: &str = "
    select name, max_count, source from tenant_quotas where tenant_id = $1 order by name";

pub(crate) async fn adopt(
    tx: &mut TenantTx,
    names: &[String],
    counts: &[i64],
) -> Result<(), Error> {
    let now = tx.ambient().now();
    tx.execute(ADOPT, &[&tx.tenant(), &names, &counts, &now]).await.map(drop)
}

pub(crate) async fn override_with(
    tx: &mut TenantTx,
    names: &[String],
    counts: &[i64],
) -> Result<(), Error> {
    let now = tx.ambient().now();
    tx.execute(OVERRIDE, &[&tx.tenant(), &names, &counts, &now]).await.map(drop)
}

pub(crate) async fn list(tx: &mut TenantTx) -> Result<Vec<Quota>, Error> {
    let rows = tx.query(LIST, &[&tx.tenant()]).await?;
    let quota = |row: &misy_store::Row| Quota {
        name: row.get("name"),
        max_count: row.get("max_count"),
        source: row.get("source"),
    };
    Ok(rows.iter().map(quota).collect())
}
