//! Room `tenancy`: taking over a plan's limits, an operator's exceptions, reading those in force.

mod rates;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use misy_core::event::{EventType, QuotaData, Told};
use misy_core::{Ctx, Permission, PlatformCtx, Role, TenantId, Timestamp};
use misy_store::{Audit, Limited, QuotaError, TenantTable, TenantTx};
use serde_json::{Value, json};

use super::model::{self, Ceiling, Quota, Spread, Usage};
use super::store;
use crate::Deps;
use crate::tenants::{self, Error};

pub use rates::{PlanRates, Rates};

/// The limits of tenants, for those who make what is limited.
#[derive(Debug, Default)]
pub struct Quotas {
    /// Who counts behind a statement goes to one slot after another, so that those who do it at
    /// the same time do not meet.
    next: AtomicU16,
}

#[async_trait]
impl misy_store::Quota for Quotas {
    async fn take(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
        let period = period_of(tx, what);
        if store::take(tx, what.name(), &period, count.into()).await? {
            return Ok(());
        }
        spread(tx, what, count).await
    }

    fn take_behind(&self, tx: &mut TenantTx, what: Limited, count: u32) {
        let period = period_of(tx, what);
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % store::SLOTS;
        store::take_behind(tx, what.name(), period, count.into(), slot.cast_signed());
    }

    async fn settle(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
        if tx.take_behind_count() == Some(1) { Ok(()) } else { self.take(tx, what, count).await }
    }

    async fn give_back(
        &self,
        tx: &mut TenantTx,
        what: Limited,
        count: u32,
    ) -> Result<(), misy_store::Error> {
        let slots = store::lock_slots(tx, what.name(), FOR_GOOD).await?;
        let slots = model::give_back(&slots, i64::from(count));
        store::allot(tx, what.name(), FOR_GOOD, &slots).await
    }

    async fn admit(
        &self,
        tx: &mut TenantTx,
        what: Limited,
        max_count: i64,
        count: i64,
    ) -> Result<(), QuotaError> {
        if count >= max_count {
            return Err(refused(what, max_count, None));
        }
        let passed = Passed { what, used: count + 1, max_count };
        let mark = model::mark(max_count);
        let is_warning = count <= mark && passed.used > mark;
        let month = Period::of(tx.ambient().now());
        Ok(tell(tx, &month.name, passed, is_warning, passed.used == max_count).await?)
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

/// In which period so much is used.
fn period_of(tx: &TenantTx, what: Limited) -> String {
    if what.renews() { Period::of(tx.ambient().now()).name } else { FOR_GOOD.to_owned() }
}

/// No slot had room at this moment: uses so much of all of them together, if the limit lets it.
async fn spread(tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
    let (name, count, now) = (what.name(), i64::from(count), tx.ambient().now());
    let month = Period::of(now);
    let period = if what.renews() { month.name.as_str() } else { FOR_GOOD };
    let mut slots = store::lock_slots(tx, name, period).await?;
    if slots.is_empty() {
        store::insert_slots(tx, name, period).await?;
        slots = store::lock_slots(tx, name, period).await?;
    }
    let max_count = store::find_max(tx, name).await?;
    let ceiling = Ceiling { max_count, is_soft: what.is_soft() };
    match (model::spread(&slots, ceiling, count), max_count) {
        (Spread::Taken { slots, is_warning, is_last, used }, max_count) => {
            store::allot(tx, name, period, &slots).await?;
            let Some(max_count) = max_count else { return Ok(()) };
            let passed = Passed { what, used, max_count };
            Ok(tell(tx, &month.name, passed, is_warning, is_last).await?)
        }
        (Spread::Full, max_count) => {
            let renews_in_s = u32::try_from(month.left_s(now)).ok();
            Err(refused(what, max_count.unwrap_or_default(), renews_in_s))
        }
    }
}

/// The period of what does not renew.
const FOR_GOOD: &str = "all";

/// A use that may be worth telling.
#[derive(Clone, Copy)]
struct Passed {
    what: Limited,
    used: i64,
    max_count: i64,
}

fn refused(what: Limited, max_count: i64, month_left_s: Option<u32>) -> QuotaError {
    metrics::counter!("misy_quota_refused_total", "quota" => what.name()).increment(1);
    let renews_in_s = month_left_s.filter(|_| what.renews());
    QuotaError::Exceeded { what, max_count, renews_in_s }
}

/// Tells, once a month each, that most of a limit or all of it is used.
async fn tell(
    tx: &mut TenantTx,
    month: &str,
    passed: Passed,
    is_warning: bool,
    is_last: bool,
) -> Result<(), misy_store::Error> {
    let Passed { what, used, max_count } = passed;
    let levels = [
        (is_warning, "warning", EventType::QuotaWarning, "quota.warned"),
        (is_last, "reached", EventType::QuotaReached, "quota.reached"),
    ];
    for (_, level, kind, action) in levels.into_iter().filter(|(is_passed, ..)| *is_passed) {
        if !store::note(tx, what.name(), month, level).await? {
            continue;
        }
        let data = QuotaData { name: what.name(), used, max_count, period: month.to_owned() };
        tx.emit(&Told::new(kind, None, data));
        let audit = Audit::new(action, "quota", what.name());
        tx.audit(audit.with(json!({"max_count": max_count, "used": used})));
    }
    Ok(())
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
    let mut counted = store::list_used(&mut tx, &[&period.name, FOR_GOOD]).await?;
    let tables = deps.tables();
    let limited = |table: &TenantTable| Limited::ALL.iter().any(|one| one.name() == table.name());
    let tables: Vec<_> = tables.into_iter().filter(limited).collect();
    let rows = misy_store::tenant_data::count(&deps.db, ctx, &tables).await?;
    counted.extend(rows.into_iter().map(|(table, rows)| (table.name().to_owned(), rows)));
    let one = |what: Limited| {
        let name = what.name();
        let is_counted = !matches!(what, Limited::ApiRequestsPerMinute | Limited::RetentionDays);
        let found = counted.iter().find(|(one, _)| one == name).map_or(0, |(_, count)| *count);
        let max_count = limits.iter().find(|one| one.name == name).map(|one| one.max_count);
        Usage {
            name: name.to_owned(),
            used: is_counted.then_some(found),
            warned_at: max_count.filter(|_| is_counted).map(model::mark),
            max_count,
            forecast: what.renews().then(|| period.forecast(found, now)),
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

/// The limits in force for a tenant, now or, as far as it is decided, at another time: those of the
/// plan it has then, and an operator's own.
pub async fn list(
    deps: &Deps,
    ctx: &PlatformCtx,
    id: TenantId,
    at: Option<Timestamp>,
) -> Result<Vec<Quota>, Error> {
    let tenant = tenants::service::get(deps, ctx, id).await?;
    let inside = ctx.enter(tenant.id, Role::Viewer.grants());
    let now = store::list(&mut deps.db.read(&inside).await?).await?;
    let Some(at) = at else { return Ok(now) };
    let limits = tenants::service::plan_limits_at(deps, ctx, id, at).await?;
    let (names, counts) = model::of_plan(&limits);
    let own = now.into_iter().filter(|quota| quota.source == "operator");
    let mut then: BTreeMap<String, Quota> = own.map(|quota| (quota.name.clone(), quota)).collect();
    for (name, max_count) in names.into_iter().zip(counts) {
        let source = "plan".to_owned();
        then.entry(name.clone()).or_insert(Quota { name, max_count, source });
    }
    Ok(then.into_values().collect())
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
    deps.rates.changed().await;
    Ok(quotas)
}
