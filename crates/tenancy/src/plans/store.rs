//! Room `tenancy`: rows of plans, of their versions, and of who has which from when on.

use std::collections::BTreeMap;

use misy_core::id::TypedId;
use misy_core::{TenantId, Timestamp};
use misy_store::{Error, PlatformTx, Row};
use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{Decision, NewPlan, Plan, Version};
use crate::quotas::model::of_plan;

/// A plan with what it allows at a time.
const LIST: &str = "
    select plan.id, plan.name, plan.starter, plan.version, plan.retired_at, plan.created_at,
        plan.updated_at, coalesce((
            select newest.limits from plan_versions newest
            where newest.plan = plan.id and newest.effective_from <= $1
            order by newest.effective_from desc, newest.number desc limit 1), plan.limits) as limits
    from plans plan where ($2::text is null or plan.id = $2) order by plan.id limit 500";

const LOCK: &str = "select id from plans where id = $1 for update";

const INSERT: &str = "
    with made as (
        insert into plans (id, name, limits, starter, created_at, updated_at)
        values ($1, $2, $3, $4, $5, $5) on conflict (id) do nothing returning id)
    insert into plan_versions
        (plan, number, effective_from, limits, made_by, created_at, applied_at)
    select id, 1, $5, $3, $6, $5, $5 from made";

const UPDATE: &str = "
    update plans set name = $3, starter = $4, retired_at = $5, version = version + 1,
        updated_at = $6
    where id = $1 and version = $2";

const INSERT_VERSION: &str = "
    insert into plan_versions (plan, number, effective_from, limits, made_by, created_at)
    select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5 from plan_versions where plan = $1
    returning number";

const VERSIONS: &str = "
    select number, limits, effective_from, applied_at from plan_versions
    where plan = $1 order by number desc limit 200";

const END_VERSION: &str = "
    update plan_versions set applied_at = $3
    where plan = $1 and number = $2 and applied_at is null";

const TENANTS_OF: &str = "
    select id from tenants
    where plan = $1 and id > $2
        and status in ('active', 'suspended', 'closing')
    order by id limit $3";

/// What was planned before and has not come is not wanted any more.
const DECIDE: &str = "
    with replaced as (
        update plan_changes set withdrawn_at = $5
        where tenant_id = $1 and applied_at is null and withdrawn_at is null)
    insert into plan_changes (tenant_id, id, plan, effective_from, created_at, made_by, applied_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    returning plan, effective_from, created_at, made_by, applied_at, withdrawn_at";

const DECISIONS: &str = "
    select plan, effective_from, created_at, made_by, applied_at, withdrawn_at from plan_changes
    where tenant_id = $1 order by created_at desc, id desc limit 100";

const APPLY: &str = "
    with due as (
        update plan_changes set applied_at = $3
        where tenant_id = $1 and id = $2 and applied_at is null and withdrawn_at is null
        returning plan)
    update tenants set plan = due.plan, version = version + 1, updated_at = $3
    from due where tenants.id = $1 returning tenants.plan";

const PLAN_AT: &str = "
    select coalesce((
        select plan from plan_changes
        where tenant_id = $1 and withdrawn_at is null and effective_from <= $2
        order by effective_from desc, created_at desc, id desc limit 1),
        (select plan from tenants where id = $1)) as plan";

fn limits(row: &Row) -> BTreeMap<String, i64> {
    let (names, counts) = of_plan(&row.get("limits"));
    names.into_iter().zip(counts).collect()
}

fn plan(row: &Row) -> Result<Plan, Error> {
    let Value::Object(starter) = row.get("starter") else {
        return Err(Error::Corrupt { column: "starter" });
    };
    Ok(Plan {
        id: row.get("id"),
        name: row.get("name"),
        limits: limits(row),
        starter,
        version: row.get("version"),
        retired_at: row.get("retired_at"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

/// All plans with what they allow now.
pub(crate) async fn list(tx: &mut PlatformTx) -> Result<Vec<Plan>, Error> {
    let now = tx.ambient().now();
    tx.query(LIST, &[&now, &None::<&str>]).await?.iter().map(plan).collect()
}

/// A plan with what it allows at a time.
pub(crate) async fn find_at(
    tx: &mut PlatformTx,
    id: &str,
    at: Timestamp,
) -> Result<Option<Plan>, Error> {
    tx.query_opt(LIST, &[&at, &Some(id)]).await?.as_ref().map(plan).transpose()
}

/// A plan with what it allows now.
pub(crate) async fn find(tx: &mut PlatformTx, id: &str) -> Result<Option<Plan>, Error> {
    let now = tx.ambient().now();
    find_at(tx, id, now).await
}

/// A plan that nobody else changes until the transaction ends.
pub(crate) async fn lock(tx: &mut PlatformTx, id: &str) -> Result<Option<Plan>, Error> {
    match tx.query_opt(LOCK, &[&id]).await? {
        Some(_) => find(tx, id).await,
        None => Ok(None),
    }
}

/// Makes a plan and its first version; `false` if there is one of this id.
pub(crate) async fn insert(tx: &mut PlatformTx, new: &NewPlan) -> Result<bool, Error> {
    let (now, by) = (tx.ambient().now(), tx.ctx().actor().to_string());
    let (limits, starter) = (json!(new.limits), json!(new.starter));
    Ok(tx.execute(INSERT, &[&new.id, &new.name, &limits, &starter, &now, &by]).await? == 1)
}

/// Writes name, starter and end of a plan, if nobody else has changed it.
pub(crate) async fn update(tx: &mut PlatformTx, new: &Plan) -> Result<bool, Error> {
    let (now, starter) = (tx.ambient().now(), json!(new.starter));
    let Plan { id, version, name, retired_at, .. } = new;
    Ok(tx.execute(UPDATE, &[id, version, name, &starter, retired_at, &now]).await? == 1)
}

/// Dates what a plan allows; gives the number of the version.
pub(crate) async fn insert_version(
    tx: &mut PlatformTx,
    plan: &str,
    limits: &BTreeMap<String, i64>,
    from: Timestamp,
) -> Result<i32, Error> {
    let (now, by) = (tx.ambient().now(), tx.ctx().actor().to_string());
    let row = tx.query_opt(INSERT_VERSION, &[&plan, &from, &json!(limits), &by, &now]).await?;
    Ok(row.ok_or(Error::Aborted)?.get("number"))
}

/// What a plan allowed, allows and will allow, newest first.
pub(crate) async fn versions(tx: &mut PlatformTx, plan: &str) -> Result<Vec<Version>, Error> {
    let version = |row: &Row| Version {
        number: row.get("number"),
        limits: limits(row),
        effective_from: row.get("effective_from"),
        applied_at: row.get("applied_at"),
    };
    Ok(tx.query(VERSIONS, &[&plan]).await?.iter().map(version).collect())
}

/// Says that all tenants have a version.
pub(crate) async fn end_version(tx: &mut PlatformTx, plan: &str, number: i32) -> Result<(), Error> {
    let now = tx.ambient().now();
    tx.execute(END_VERSION, &[&plan, &number, &now]).await.map(drop)
}

/// Tenants that have a plan now, after one.
pub(crate) async fn tenants_of(
    tx: &mut PlatformTx,
    plan: &str,
    after: Option<TenantId>,
    limit: i64,
) -> Result<Vec<TenantId>, Error> {
    let rows =
        tx.query(TENANTS_OF, &[&plan, &after.map_or(Uuid::nil(), TypedId::uuid), &limit]).await?;
    Ok(rows.iter().map(|row| TenantId::from_uuid(row.get("id"))).collect())
}

fn decision(row: &Row) -> Decision {
    Decision {
        plan: row.get("plan"),
        effective_from: row.get("effective_from"),
        decided_by: row.get("made_by"),
        decided_at: row.get("created_at"),
        applied_at: row.get("applied_at"),
        withdrawn_at: row.get("withdrawn_at"),
    }
}

/// Writes down that a tenant has a plan from when on, and whether that is done by now.
pub(crate) async fn decide(
    tx: &mut PlatformTx,
    tenant: TenantId,
    plan: &str,
    from: Timestamp,
    is_applied: bool,
) -> Result<(Uuid, Decision), Error> {
    let (id, now) = (tx.ambient().uuid(), tx.ambient().now());
    let by = tx.ctx().actor().to_string();
    let applied = is_applied.then_some(now);
    let row =
        tx.query_opt(DECIDE, &[&tenant.uuid(), &id, &plan, &from, &now, &by, &applied]).await?;
    Ok((id, decision(&row.ok_or(Error::Aborted)?)))
}

/// What was decided about a tenant's plan, newest first.
pub(crate) async fn decisions(
    tx: &mut PlatformTx,
    tenant: TenantId,
) -> Result<Vec<Decision>, Error> {
    Ok(tx.query(DECISIONS, &[&tenant.uuid()]).await?.iter().map(decision).collect())
}

/// Gives a tenant the plan that was decided; `None` if somebody was faster or took it back.
pub(crate) async fn apply(
    tx: &mut PlatformTx,
    tenant: TenantId,
    change: Uuid,
) -> Result<Option<String>, Error> {
    let now = tx.ambient().now();
    let row = tx.query_opt(APPLY, &[&tenant.uuid(), &change, &now]).await?;
    Ok(row.map(|row| row.get("plan")))
}

/// Which plan a tenant has at a time, as far as it is decided by now.
pub(crate) async fn plan_at(
    tx: &mut PlatformTx,
    tenant: TenantId,
    at: Timestamp,
) -> Result<Option<String>, Error> {
    let row = tx.query_opt(PLAN_AT, &[&tenant.uuid(), &at]).await?;
    Ok(row.and_then(|row| row.get("plan")))
}
