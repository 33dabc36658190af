//! Room `jobs`: jobs that come back in every period, once across all processes.

use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{Ambient, JobId, PlatformCtx, Timestamp};
use misy_store::{Error, JobRow, PlatformTx};

use crate::PlatformJob;
use crate::job::platform_row;

type Make = dyn Fn(&PlatformCtx, JobId) -> JobRow + Send + Sync;

/// One schedule of the registry.
pub(crate) struct Schedule {
    name: &'static str,
    period_ms: i64,
    make: Box<Make>,
}

impl Schedule {
    pub(crate) fn new<J: PlatformJob>(name: &'static str, period: Duration, job: J) -> Self {
        let period_ms = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
        let make = move |ctx: &PlatformCtx, id| {
            let row = platform_row(&job, ctx, id, None);
            JobRow { lane: Some(lane(name)), ..row }
        };
        Self { name, period_ms, make: Box::new(make) }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The number of the period that a time lies in.
    fn period(&self, now: Timestamp) -> i64 {
        now.as_millisecond().div_euclid(self.period_ms)
    }

    /// How long until the next period begins.
    pub(crate) fn until_next(&self, now: Timestamp) -> Duration {
        let left = self.period_ms - now.as_millisecond().rem_euclid(self.period_ms);
        Duration::from_millis(u64::try_from(left).unwrap_or(1))
    }
}

/// The runs of one schedule never overlap.
fn lane(name: &str) -> String {
    format!("schedule.{name}")
}

/// Enters the present period of each schedule if nobody has yet, and gives the names of those whose
/// last run is over, which are to be enqueued.
const ENTER: &str = "
    with entered as (
        insert into schedules (name, period)
        select name, period from unnest($1::text[], $2::bigint[]) as due (name, period)
        on conflict (name) do update set period = excluded.period
            where schedules.period < excluded.period
        returning name)
    select name from entered
    where not exists (
        select from jobs
        where jobs.owner = $3 and jobs.lane = 'schedule.' || entered.name)";

/// Enqueues what is due, in the given transaction. Says how many jobs that were.
pub(crate) async fn enqueue_due(
    tx: &mut PlatformTx,
    schedules: &[Schedule],
    now: Timestamp,
) -> Result<usize, Error> {
    if schedules.is_empty() {
        return Ok(0);
    }
    let names: Vec<&str> = schedules.iter().map(|schedule| schedule.name).collect();
    let periods: Vec<i64> = schedules.iter().map(|schedule| schedule.period(now)).collect();
    let nobody = crate::store::PLATFORM;
    let rows = tx.query(ENTER, &[&names, &periods, &nobody]).await?;
    let entered: Vec<String> = rows.iter().map(|row| row.get("name")).collect();
    let due = schedules.iter().filter(|schedule| entered.iter().any(|name| name == schedule.name));
    let rows: Vec<JobRow> = due.map(|one| (one.make)(tx.ctx(), fresh_id(tx.ambient()))).collect();
    let count = rows.len();
    for row in rows {
        tx.push_job(None, row);
    }
    Ok(count)
}

fn fresh_id(ambient: &Ambient) -> JobId {
    JobId::from_uuid(ambient.uuid())
}
