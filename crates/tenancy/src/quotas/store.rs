//! Room `tenancy`: rows of `tenant_quotas`.

use misy_core::TenantId;
use misy_core::id::TypedId;
use misy_store::{Error, Limited, PlatformTx, TenantTx, ToSql};
use uuid::Uuid;

use super::model::{Quota, Slot};

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

/// Tells every process how many requests a minute that comes to, if it is another number.
const TELL_RATE: &str = "
    insert into tenant_rates (tenant_id, requests_per_minute)
    select $1, (select max_count from tenant_quotas where tenant_id = $1 and name = $2)
    on conflict (tenant_id) do update
        set requests_per_minute = excluded.requests_per_minute, txid = pg_current_xact_id()
        where tenant_rates.requests_per_minute is distinct from excluded.requests_per_minute";

/// Transactions below the snapshot's `xmin` have ended, so the next look may begin there.
const LIST_RATES: &str = "
    select pg_snapshot_xmin(pg_current_snapshot())::text as next, tenant_id, requests_per_minute
    from (select) as always
    left join tenant_rates on txid >= $1::text::xid8";

const LIST: &str = "
    select name, max_count, source from tenant_quotas where tenant_id = $1 order by name";

pub(crate) async fn adopt(
    tx: &mut TenantTx,
    names: &[String],
    counts: &[i64],
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(ADOPT, &[&tenant, &names, &counts, &now]).await?;
    tx.execute(TELL_RATE, &[&tenant, &Limited::ApiRequestsPerMinute.name()]).await.map(drop)
}

/// The requests a minute of tenants for whom that was changed since, and where the next look
/// begins.
pub(crate) async fn list_rates(
    tx: &mut PlatformTx,
    since: &str,
) -> Result<(Vec<(TenantId, Option<u32>)>, String), Error> {
    let rows = tx.query(LIST_RATES, &[&since]).await?;
    let next = rows.first().map_or_else(|| since.to_owned(), |row| row.get("next"));
    let rate = |row: &misy_store::Row| {
        let tenant: Option<Uuid> = row.get("tenant_id");
        let requests: Option<i64> = row.get("requests_per_minute");
        let requests = requests.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        Some((TenantId::from_uuid(tenant?), requests))
    };
    Ok((rows.iter().filter_map(rate).collect(), next))
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

/// How many rows a tenant's use of one limit is spread over.
pub(crate) const SLOTS: u16 = 8;

/// One slot that nobody else is at and that has room. Which one is drawn by lot.
const TAKE: &str = "
    with free as (
        select slot from quota_slots
        where tenant_id = $1 and name = $2 and period = $3 and used + $4 <= allotted
        order by random() limit 1 for update skip locked)
    update quota_slots one set used = one.used + $4 from free
    where one.tenant_id = $1 and one.name = $2 and one.period = $3 and one.slot = free.slot";

/// One slot, by its place: the row was just locked there. If somebody else has changed it since
/// this statement began, it is not found, which is the same as not free.
const TAKE_OF: &str = "
    update quota_slots one set used = one.used + $4
    where one.tenant_id = $1 and one.ctid = (
        select ctid from quota_slots
        where tenant_id = $1 and name = $2 and period = $3 and slot = $5 and used + $4 <= allotted
        for update skip locked)";

const INSERT_SLOTS: &str = "
    insert into quota_slots (tenant_id, name, period, slot, allotted)
    select $1, $2, $3, slot, 0 from generate_series(0, $4::int4 - 1) slot
    on conflict (tenant_id, name, period, slot) do nothing";

/// All of them, in one order, so that two who do this wait for each other and not crosswise.
const LOCK_SLOTS: &str = "
    select slot, used, allotted from quota_slots
    where tenant_id = $1 and name = $2 and period = $3 order by slot for update";

const ALLOT: &str = "
    update quota_slots one set allotted = new.allotted, used = new.used
    from unnest($4::int2[], $5::int8[], $6::int8[]) as new (slot, used, allotted)
    where one.tenant_id = $1 and one.name = $2 and one.period = $3 and one.slot = new.slot";

const FIND_MAX: &str = "
    select max_count from tenant_quotas where tenant_id = $1 and name = $2";

const LOCK_CEILING: &str = "
    select pg_advisory_xact_lock(hashtextextended($1::uuid::text || '/' || $2, 0))";

const USED: &str = "
    select name, sum(used)::int8 as used from quota_slots
    where tenant_id = $1 and period = any($2) group by name";

const NOTE: &str = "
    insert into quota_notices (tenant_id, name, period, level, created_at)
    values ($1, $2, $3, $4, $5) on conflict (tenant_id, name, period, level) do nothing";

const TAKE_BACK: &str = "
    with held as (
        select name, period, slot from quota_slots
        where tenant_id = $1 order by name, period, slot for update)
    update quota_slots one set allotted = used from held
    where one.tenant_id = $1 and one.name = held.name and one.period = held.period
      and one.slot = held.slot";

/// Takes back what was handed out and not used.
pub(crate) async fn take_back(tx: &mut TenantTx) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.execute(TAKE_BACK, &[&tenant]).await.map(drop)
}

/// Uses so much of a slot with room; `false` if there was none at this moment.
pub(crate) async fn take(
    tx: &mut TenantTx,
    name: &str,
    period: &str,
    count: i64,
) -> Result<bool, Error> {
    let tenant = tx.tenant();
    Ok(tx.execute(TAKE, &[&tenant, &name, &period, &count]).await? == 1)
}

/// Uses so much of this slot, behind the next statement; [`TenantTx::take_behind_count`] is 1 if it
/// had room and nobody else was at it.
pub(crate) fn take_behind(
    tx: &mut TenantTx,
    name: &'static str,
    period: String,
    count: i64,
    slot: i16,
) {
    let tenant = tx.tenant();
    let params: Vec<Box<dyn ToSql + Sync + Send>> =
        vec![Box::new(tenant), Box::new(name), Box::new(period), Box::new(count), Box::new(slot)];
    tx.send_behind(TAKE_OF, params);
}

/// Makes the slots of a period, with nothing allotted to them.
pub(crate) async fn insert_slots(tx: &mut TenantTx, name: &str, period: &str) -> Result<(), Error> {
    let (tenant, slots) = (tx.tenant(), i32::from(SLOTS));
    tx.execute(INSERT_SLOTS, &[&tenant, &name, &period, &slots]).await.map(drop)
}

/// Every slot as it is, once all who were at one have ended.
pub(crate) async fn lock_slots(
    tx: &mut TenantTx,
    name: &str,
    period: &str,
) -> Result<Vec<Slot>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(LOCK_SLOTS, &[&tenant, &name, &period]).await?;
    let slot = |row: &misy_store::Row| Slot {
        number: row.get("slot"),
        used: row.get("used"),
        allotted: row.get("allotted"),
    };
    Ok(rows.iter().map(slot).collect())
}

/// Writes what every slot has and may have.
pub(crate) async fn allot(
    tx: &mut TenantTx,
    name: &str,
    period: &str,
    slots: &[Slot],
) -> Result<(), Error> {
    let numbers: Vec<i16> = slots.iter().map(|slot| slot.number).collect();
    let used: Vec<i64> = slots.iter().map(|slot| slot.used).collect();
    let allotted: Vec<i64> = slots.iter().map(|slot| slot.allotted).collect();
    let tenant = tx.tenant();
    tx.execute(ALLOT, &[&tenant, &name, &period, &numbers, &used, &allotted]).await.map(drop)
}

/// The limit in force; `None` if there is none.
pub(crate) async fn find_max(tx: &mut TenantTx, name: &str) -> Result<Option<i64>, Error> {
    let tenant = tx.tenant();
    Ok(tx.query_opt(FIND_MAX, &[&tenant, &name]).await?.map(|row| row.get("max_count")))
}

/// Waits until nobody else of the tenant is making one of these.
pub(crate) async fn lock_ceiling(tx: &mut TenantTx, name: &str) -> Result<(), Error> {
    let tenant = tx.tenant();
    tx.query(LOCK_CEILING, &[&tenant, &name]).await.map(drop)
}

/// Notes that a mark of a limit was passed in a period; `false` if that is known.
pub(crate) async fn note(
    tx: &mut TenantTx,
    name: &str,
    period: &str,
    level: &str,
) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    Ok(tx.execute(NOTE, &[&tenant, &name, &period, &level, &now]).await? == 1)
}

/// What was used in these periods, by limit.
pub(crate) async fn list_used(
    tx: &mut TenantTx,
    periods: &[&str],
) -> Result<Vec<(String, i64)>, Error> {
    let tenant = tx.tenant();
    let rows = tx.query(USED, &[&tenant, &periods]).await?;
    Ok(rows.iter().map(|row| (row.get("name"), row.get("used"))).collect())
}
