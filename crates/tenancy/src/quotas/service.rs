//! Room `tenancy`: taking over a plan's limits, an operator's exceptions, reading those in force.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use misy_core::{Ctx, Permission, PlatformCtx, Role, TenantId, Timestamp};
use misy_store::{Audit, Limited, QuotaError, TenantTx};
use serde_json::{Value, json};

use super::model::{self, Quota, Spread, Usage};
use super::store;
use crate::Deps;
use crate::tenants::{self, Error};

/// The limits of tenants, for those who make what is limited.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quotas;

#[async_trait]
impl misy_store::Quota for Quotas {
    async fn take(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
        let (name, count, now) = (what.name(), i64::from(count), tx.ambient().now());
        let period = Period::of(now);
        if store::take(tx, name, &period.name, count).await? {
            return Ok(());
        }
        let mut slots = store::lock_slots(tx, name, &period.name).await?;
        if slots.is_empty() {
            store::insert_slots(tx, name, &period.name).await?;
            slots = store::lock_slots(tx, name, &period.name).await?;
        }
        let max_count = store::find_max(tx, name).await?;
        match model::spread(&slots, max_count, count) {
            Spread::Taken { slots, is_warning } => {
                store::allot(tx, name, &period.name, &slots).await?;
                if is_warning {
                    let audit = Audit::new("quota.warned", "quota", name);
                    tx.audit(audit.with(json!({"max_count": max_count})));
                }
                Ok(())
            }
            Spread::Full => {
                metrics::counter!("misy_quota_refused_total", "quota" => name).increment(1);
                let max_count = max_count.unwrap_or_default();
                let renews_in_s = u32::try_from(period.left_s(now)).ok();
                Err(QuotaError::Exceeded { what, max_count, renews_in_s })
            }
        }
    }

    async fn ceiling(
        &self,
        tx: &mut TenantTx,
        what: Limited,
    ) -> Result<Option<i64>, misy_store::Error> {
        store::lock_ceiling(tx, what.name()).await?;
        store::find_max(tx, what.name()).await
    }
}

/// A calendar month in UTC.
struct Period {
    /// As `2026-11`.
    name: String,
    begins: Timestamp,
    ends: Timestamp,
}

impl Period {
    fn of(now: Timestamp) -> Self {
        let today = now.to_zoned(TimeZone::UTC).date();
        let first = today.first_of_month();
        let next = today.last_of_month().tomorrow().unwrap_or(today);
        let start = |date: Date| date.to_zoned(TimeZone::UTC).map_or(now, |at| at.timestamp());
        let name = format!("{:04}-{:02}", first.year(), first.month());
        Self { name, begins: start(first), ends: start(next) }
    }

    fn left_s(&self, now: Timestamp) -> i64 {
        self.ends.duration_since(now).as_secs().max(1)
    }

    fn forecast(&self, used: i64, now: Timestamp) -> i64 {
        let elapsed = now.duration_since(self.begins).as_secs();
        model::forecast(used, elapsed, self.ends.duration_since(self.begins).as_secs())
    }
}

/// What a tenant uses of each of its limits, as one of its own sees it.
pub async fn usage_own(deps: &Deps, ctx: &Ctx) -> Result<Vec<Usage>, Error> {
    ctx.require(Permission::TenantRead)?;
    usage(deps, ctx).await
}

/// The same as an operator sees it.
pub async fn usage_of(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Vec<Usage>, Error> {
    let tenant = tenants::service::get(deps, ctx, id).await?;
    usage(deps, &ctx.enter(tenant.id, Role::Viewer.grants())).await
}

async fn usage(deps: &Deps, ctx: &Ctx) -> Result<Vec<Usage>, Error> {
    let now = deps.ambient.now();
    let period = Period::of(now);
    let mut tx = deps.db.read(ctx).await?;
    let limits = store::list(&mut tx).await?;
    let used = store::list_used(&mut tx, &period.name).await?;
    let rows = deps.count_rows(ctx).await?;
    let one = |what: Limited| {
        let name = what.name();
        let renews = what == Limited::MessagesPerMonth;
        let source = if renews { &used } else { &rows };
        let used = source.iter().find(|(one, _)| one == name).map_or(0, |(_, count)| *count);
        Usage {
            name: name.to_owned(),
            used,
            max_count: limits.iter().find(|one| one.name == name).map(|one| one.max_count),
            forecast: renews.then(|| period.forecast(used, now)),
        }
    };
    Ok(Limited::ALL.into_iter().map(one).collect())
}

/// Puts a plan's limits in force.
pub(crate) async fn write_plan(tx: &mut TenantTx, limits: &Value) -> Result<(), misy_store::Error> {
    let (names, counts) = model::of_plan(limits);
    store::adopt(tx, &names, &counts).await
}

/// The same for a tenant that has used something by now: what was handed out is asked for anew.
pub(crate) async fn change_plan(
    tx: &mut TenantTx,
    limits: &Value,
) -> Result<(), misy_store::Error> {
    write_plan(tx, limits).await?;
    store::take_back(tx).await
}

/// The limits in force for a tenant, as an operator sees them.
pub async fn list(deps: &Deps, ctx: &PlatformCtx, id: TenantId) -> Result<Vec<Quota>, Error> {
    let tenant = tenants::service::get(deps, ctx, id).await?;
    let inside = ctx.enter(tenant.id, Role::Viewer.grants());
    Ok(store::list(&mut deps.db.read(&inside).await?).await?)
}

/// Sets an operator's limits in place of those set before; all others are the plan's.
pub async fn set(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    overrides: BTreeMap<String, i64>,
) -> Result<Vec<Quota>, Error> {
    ctx.require(Permission::PlatformTenantManage)?;
    let limits = tenants::service::plan_limits(deps, ctx, id).await?;
    let (names, counts): (Vec<String>, Vec<i64>) = overrides.into_iter().unzip();
    let mut tx = deps.db.tenant(&ctx.enter(id, Role::Owner.grants())).await?;
    store::override_with(&mut tx, &names, &counts).await?;
    change_plan(&mut tx, &limits).await?;
    let quotas = store::list(&mut tx).await?;
    tx.audit(Audit::new("quotas.updated", "tenant", id).with(json!({"overrides": names})));
    tx.commit().await?;
    Ok(quotas)
}
