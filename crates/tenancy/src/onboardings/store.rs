//! Room `tenancy`: rows of `onboardings` and `onboarding_steps`, and what they settle of a tenant.

use std::collections::BTreeMap;

use misy_core::id::TypedId;
use misy_core::{OnboardingWorkflowId, Timestamp};
use misy_store::{Error, Row, TenantTx};
use serde_json::Value;

use super::model::{Onboarding, Standing, State};
use crate::onboarding_workflows::model::Workflow;

const INSERT: &str = "
    insert into onboardings (tenant_id, workflow_id, workflow_version, title, steps, began_at)
    values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id) do nothing";

const FIND: &str = "
    select o.*, s.key, s.state, s.data, s.reason, s.settled_at
    from onboardings o
    left join onboarding_steps s on s.tenant_id = o.tenant_id and s.tenant_id = $1
    where o.tenant_id = $1";

const LOCK: &str = "select version from onboardings where tenant_id = $1 for update";

const SAVE_STEPS: &str = "
    insert into onboarding_steps (tenant_id, key, state, data, reason, settled_at)
    select $1, new.* from unnest($2::text[], $3::text[], $4::jsonb[], $5::text[],
        $6::timestamptz[]) as new (key, state, data, reason, settled_at)
    on conflict (tenant_id, key) do update set state = excluded.state, data = excluded.data,
        reason = excluded.reason, settled_at = excluded.settled_at";

const TOUCH: &str = "
    update onboardings set completed_at = $2, version = version + 1 where tenant_id = $1";

const FIND_SETTINGS: &str = "
    select business, opening_hours from tenants where id = $1";

const SET_BUSINESS: &str = "
    update tenants set business = $2, version = version + 1, updated_at = $3
    where id = $1";

const SET_HOURS: &str = "
    update tenants set opening_hours = $2, version = version + 1, updated_at = $3 where id = $1";

const SET_LIVE: &str = "
    update tenants set live_at = coalesce(live_at, $2), version = version + 1, updated_at = $2
    where id = $1";

/// Begins a workflow, unless one is begun.
pub(super) async fn insert(tx: &mut TenantTx, workflow: &Workflow) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let Workflow { id, version, title, steps, .. } = workflow;
    let steps = serde_json::json!(steps);
    Ok(tx.execute(INSERT, &[&tenant, &id.uuid(), version, title, &steps, &now]).await? == 1)
}

/// The tenant's own, if it has begun.
pub(super) async fn find(tx: &mut TenantTx) -> Result<Option<Onboarding>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(FIND, &[&tenant]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let corrupt = |_| Error::Corrupt { column: "steps" };
    let mut standings = BTreeMap::new();
    for row in &rows {
        if let Some(key) = row.get::<_, Option<String>>("key") {
            standings.insert(key, standing(row)?);
        }
    }
    Ok(Some(Onboarding {
        workflow: OnboardingWorkflowId::from_uuid(first.get("workflow_id")),
        workflow_version: first.get("workflow_version"),
        title: first.get("title"),
        steps: serde_json::from_value(first.get("steps")).map_err(corrupt)?,
        standings,
        began_at: first.get("began_at"),
        completed_at: first.get("completed_at"),
        version: first.get("version"),
    }))
}

fn standing(row: &Row) -> Result<Standing, Error> {
    let state = State::parse(row.get("state")).ok_or(Error::Corrupt { column: "state" })?;
    let (data, reason) = (row.get("data"), row.get("reason"));
    Ok(Standing { state, data, reason, settled_at: row.get("settled_at") })
}

/// The same, which nobody else changes until the transaction ends.
pub(super) async fn lock(tx: &mut TenantTx) -> Result<Option<Onboarding>, Error> {
    let tenant = tx.tenant();
    tx.query(LOCK, &[&tenant]).await?;
    find(tx).await
}

/// Writes where steps stand.
pub(super) async fn save_steps(
    tx: &mut TenantTx,
    now: &Onboarding,
    keys: &[String],
) -> Result<(), Error> {
    let tenant = tx.tenant();
    let standings: Vec<&Standing> = keys.iter().map(|key| now.standing(key)).collect();
    let states: Vec<&str> = standings.iter().map(|one| one.state.slug()).collect();
    let data: Vec<Option<&Value>> = standings.iter().map(|one| one.data.as_ref()).collect();
    let reasons: Vec<Option<&str>> = standings.iter().map(|one| one.reason.as_deref()).collect();
    let times: Vec<Option<Timestamp>> = standings.iter().map(|one| one.settled_at).collect();
    let params: [&(dyn misy_store::ToSql + Sync); 6] =
        [&tenant, &keys, &states, &data, &reasons, &times];
    tx.execute(SAVE_STEPS, &params).await.map(drop)
}

/// Notes that something has changed.
pub(super) async fn touch(tx: &mut TenantTx, completed_at: Option<Timestamp>) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(TOUCH, &[&tenant, &completed_at]).await.map(drop)
}

/// What the tenant says of itself, and when it is there.
pub(super) async fn find_settings(tx: &mut TenantTx) -> Result<(Value, Option<Value>), Error> {
    let tenant = tx.tenant();
    let row = tx.query_opt(FIND_SETTINGS, &[&tenant]).await?;
    Ok(row.map_or((Value::Null, None), |row| (row.get("business"), row.get("opening_hours"))))
}

/// Writes what the tenant says of itself.
pub(super) async fn set_business(tx: &mut TenantTx, data: &Value) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(SET_BUSINESS, &[&tenant, &data, &now]).await.map(drop)
}

/// Says when the tenant is there.
pub(super) async fn set_hours(tx: &mut TenantTx, hours: &Value) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(SET_HOURS, &[&tenant, &hours, &now]).await.map(drop)
}

/// Notes since when the tenant serves customers in earnest.
pub(super) async fn set_live(tx: &mut TenantTx) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(SET_LIVE, &[&tenant, &now]).await.map(drop)
}
