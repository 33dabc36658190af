//! Room `tenancy`: rows of `onboarding_workflows`: one of each version.

use misy_core::id::TypedId;
use misy_core::{OnboardingWorkflowId, TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row};

use super::model::{DEFAULT, Workflow};

const LIST: &str = "
    select distinct on (slug) * from onboarding_workflows
    where retired_at is null order by slug, version desc";

const FIND: &str = "
    select * from onboarding_workflows where id = $1 and retired_at is null
    order by version desc limit 1";

const FIND_FOR: &str = "
    select w.* from onboarding_workflows w
    left join (select p.starter ->> 'onboarding' as slug
        from tenants t join plans p on p.id = t.plan where t.id = $1) wanted on true
    where w.retired_at is null and w.slug in (wanted.slug, $2)
    order by (w.slug = coalesce(wanted.slug, $2)) desc, w.version desc limit 1";

const INSERT: &str = "
    insert into onboarding_workflows (id, version, slug, title, steps, created_at)
    values ($1, $2, $3, $4, $5, $6)";

const RETIRE: &str = "
    update onboarding_workflows set retired_at = $2 where id = $1 and retired_at is null";

/// The newest version of each.
pub(super) async fn list(tx: &mut PlatformTx) -> Result<Vec<Workflow>, Error> {
    tx.query(LIST, &[]).await?.iter().map(read).collect()
}

/// The newest version of one.
pub(super) async fn find(
    tx: &mut PlatformTx,
    id: OnboardingWorkflowId,
) -> Result<Option<Workflow>, Error> {
    tx.query_opt(FIND, &[&id.uuid()]).await?.as_ref().map(read).transpose()
}

/// The one that a tenant's plan names, else the default one.
pub(crate) async fn find_for(
    tx: &mut PlatformTx,
    tenant: TenantId,
) -> Result<Option<Workflow>, Error> {
    tx.query_opt(FIND_FOR, &[&tenant.uuid(), &DEFAULT]).await?.as_ref().map(read).transpose()
}

/// Writes one version.
pub(super) async fn insert(tx: &mut PlatformTx, new: &Workflow) -> Result<(), Error> {
    let Workflow { id, version, slug, title, steps, created_at } = new;
    let steps = serde_json::json!(steps);
    tx.execute(INSERT, &[&id.uuid(), version, slug, title, &steps, created_at]).await.map(drop)
}

/// Ends all versions of one.
pub(super) async fn retire(
    tx: &mut PlatformTx,
    id: OnboardingWorkflowId,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(tx.execute(RETIRE, &[&id.uuid(), &now]).await? > 0)
}

fn read(row: &Row) -> Result<Workflow, Error> {
    let corrupt = |_| Error::Corrupt { column: "steps" };
    Ok(Workflow {
        id: OnboardingWorkflowId::from_uuid(row.get("id")),
        version: row.get("version"),
        slug: row.get("slug"),
        title: row.get("title"),
        steps: serde_json::from_value(row.get("steps")).map_err(corrupt)?,
        created_at: row.get("created_at"),
    })
}
