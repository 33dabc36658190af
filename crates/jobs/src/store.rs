//! Room `jobs`: the queue's tables.
//!
//! Every change of a row happens in a [`Turn`], which no two workers are in at once. That is what
//! makes lanes safe without a lock a lane: claiming and completing cannot pass each other unseen.
//! Enqueueing takes no part in it; a job that appears while a turn goes on is seen by the next.
//!
//! A job that is claimed out of turn in its lane is not skipped again and again but marked
//! `blocked`, once, and leaves the index of what is ready; the end of a job of its lane makes the
//! lane's first one ready. So a lane of 100,000 costs each claim as little as one of two. What
//! must hold after each turn: if a lane has blocked jobs, one of its jobs is running or its first
//! one is not blocked.

use std::collections::BTreeSet;
use std::time::Duration;

use misy_core::id::TypedId;
use misy_core::{JobId, PlatformCtx, TenantId, Timestamp};
use misy_store::{Db, Error, PlatformTx, Row, ToSql};
use uuid::Uuid;

use crate::outcome::{Claimed, Hold, Outcome, Settled, later};
use crate::schedules::{self, Schedule};

/// The owner of the platform's own jobs.
pub(crate) const PLATFORM: Uuid = Uuid::nil();

/// Where a walk around the tenants starts that has not been anywhere yet.
pub(crate) const START: Uuid = Uuid::max();

/// Tenants that one claim visits; the next claim goes on behind them.
const VISITS: i32 = 100;

/// Deferred jobs that one turn makes ready, and lanes that one sweep looks at.
const SWEEP: i32 = 1_000;

/// Where the first job of a tenant or a lane is wanted, it is asked for as a range over the whole
/// index key, from the least to the greatest id. With `owner = .. order by id` the planner may
/// walk the primary key instead and pass over everybody else's jobs.
const LEAST: Uuid = Uuid::nil();
const GREATEST: Uuid = Uuid::max();

const COMPLETE: &str = "
    delete from jobs using unnest($1::uuid[], $2::uuid[]) as done (id, lease)
    where jobs.id = done.id and jobs.lease = done.lease";

const DEFER: &str = "
    update jobs set state = case when put_off.run_at is null then 'ready' else 'deferred' end,
        run_at = coalesce(put_off.run_at, jobs.run_at), lease = null, lease_until = null,
        attempts = greatest(jobs.attempts - put_off.refund, 0),
        last_error = coalesce(put_off.error, jobs.last_error)
    from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::integer[], $5::text[])
        as put_off (id, lease, run_at, refund, error)
    where jobs.id = put_off.id and jobs.lease = put_off.lease";

const BURY: &str = "
    with dead as (
        delete from jobs
        using unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[])
            as lost (id, lease, died_at, error)
        where jobs.id = lost.id and jobs.lease = lost.lease
        returning jobs.id, jobs.tenant_id, jobs.name, jobs.lane, jobs.payload, jobs.envelope,
            jobs.attempts, lost.error, lost.died_at)
    insert into dead_letters
        (id, tenant_id, name, lane, payload, envelope, attempts, error, died_at)
    select id, tenant_id, name, lane, payload, envelope, attempts, error, died_at from dead";

const FREE_LANES: &str = "
    update jobs set state = 'ready'
    from unnest($1::uuid[], $2::text[]) as freed (owner, lane)
    cross join lateral (
        select id, state from jobs first where first.lane is not null
            and (first.owner, first.lane, first.id) >= (freed.owner, freed.lane, $3::uuid)
            and (first.owner, first.lane, first.id) <= (freed.owner, freed.lane, $4::uuid)
        order by first.owner, first.lane, first.id limit 1) head
    where jobs.id = head.id and head.state = 'blocked'";

const PROMOTE: &str = "
    update jobs set state = 'ready' where id in (
        select id from jobs where state = 'deferred' and run_at <= $1 order by run_at limit $2)";

const NEXT_DUE: &str = "select min(run_at) as run_at from jobs where state = 'deferred'";

const RECLAIM: &str = "
    update jobs set state = 'ready', lease = null, lease_until = null,
        last_error = 'the worker that held it went away'
    where state = 'running' and lease_until <= $1
    returning owner, lane";

const RENEW: &str = "
    update jobs set lease_until = $3 from unnest($1::uuid[], $2::uuid[]) as held (id, lease)
    where jobs.id = held.id and jobs.lease = held.lease
    returning jobs.id";

const COUNT_READY: &str = "
    select count(*) as ready from (select from jobs where state = 'ready' limit $1) as counted";

/// Walks round the tenants that have something ready, from behind `$1`, one index probe a tenant,
/// takes twice an even share from each, the first of all before the second of any, and of these
/// what is wanted. `$4` and `$5` say how many more those may have that hold some already, `$6` how
/// many others may.
const CLAIM: &str = "
    with recursive ahead (owner, place) as (
        (select owner, 1 from jobs where state = 'ready' and owner > $1 order by owner limit 1)
        union all
        select next.owner, ahead.place + 1 from ahead cross join lateral (
            select owner from jobs where state = 'ready' and jobs.owner > ahead.owner
            order by owner limit 1) next
        where ahead.place < $2),
    around (owner, place) as (
        (select owner, 1 from jobs where state = 'ready' and owner <= $1 order by owner limit 1)
        union all
        select next.owner, around.place + 1 from around cross join lateral (
            select owner from jobs
            where state = 'ready' and jobs.owner > around.owner and jobs.owner <= $1
            order by owner limit 1) next
        where around.place < $2),
    visited as (
        select owner, (row_number() over ())::integer as place,
            coalesce(($5::integer[])[array_position($4::uuid[], owner)], $6) as room
        from (select owner from ahead union all select owner from around) ring limit $2),
    served as (
        select owner, place, room, count(*) over () as owners from visited where room > 0),
    candidate as (
        select next.id, served.owner, next.lane, next.rank, served.place
        from served cross join lateral (
            select id, lane, row_number() over () as rank from (
                select id, lane from jobs
                where state = 'ready' and (jobs.owner, jobs.id) >= (served.owner, $9::uuid)
                    and (jobs.owner, jobs.id) <= (served.owner, $10::uuid)
                order by jobs.owner, jobs.id
                limit least(served.room,
                            ($3::bigint * 2 + served.owners - 1) / served.owners)) first) next
        order by next.rank, served.place limit $3::bigint),
    judged as materialized (
        select id, owner, rank, place, case when lane is null then true else
            not exists (
                select from jobs earlier where earlier.lane is not null
                and earlier.owner = candidate.owner and earlier.lane = candidate.lane
                and earlier.id < candidate.id)
            and not exists (
                select from jobs other where other.lane is not null and other.state = 'running'
                and other.owner = candidate.owner and other.lane = candidate.lane) end as free
        from candidate)
    update jobs set state = case when free then 'running' else 'blocked' end,
        lease = case when free then $7::uuid end,
        lease_until = case when free then $8::timestamptz end,
        attempts = jobs.attempts + free::integer
    from judged where jobs.id = judged.id and jobs.state = 'ready'
    returning judged.free, judged.rank, judged.place,
        jobs.id, jobs.owner, jobs.tenant_id, jobs.name,
        jobs.lane, jobs.attempts, jobs.run_at,
        case when free then jobs.payload::text end as payload,
        case when free then jobs.envelope::text end as envelope";

/// Looks at the next `$3` lanes behind the given one and frees those that nothing would free.
const HEAL: &str = "
    with recursive lanes (owner, lane, place) as (
        (select owner, lane, 1 from jobs
         where lane is not null and (owner, lane) > ($1, $2) order by owner, lane limit 1)
        union all
        select next.owner, next.lane, lanes.place + 1 from lanes cross join lateral (
            select owner, lane from jobs
            where jobs.lane is not null and (jobs.owner, jobs.lane) > (lanes.owner, lanes.lane)
            order by owner, lane limit 1) next
        where lanes.place < $3),
    stuck as (
        select head.id from lanes cross join lateral (
            select id, state from jobs first where first.lane is not null
                and (first.owner, first.lane, first.id) >= (lanes.owner, lanes.lane, $4::uuid)
                and (first.owner, first.lane, first.id) <= (lanes.owner, lanes.lane, $5::uuid)
            order by first.owner, first.lane, first.id limit 1) head
        where head.state = 'blocked' and not exists (
            select from jobs other where other.lane is not null and other.state = 'running'
            and other.owner = lanes.owner and other.lane = lanes.lane)),
    healed as (
        update jobs set state = 'ready' from stuck where jobs.id = stuck.id returning jobs.id)
    select owner, lane, place, (select count(*) from healed) as healed
    from lanes order by place desc limit 1";

/// What a claim asks for.
#[derive(Debug, Clone)]
pub(crate) struct Want<'a> {
    /// Jobs in all.
    pub(crate) number: usize,
    /// The tenant behind which the walk starts.
    pub(crate) after: Uuid,
    /// How many more each tenant may have that has some already.
    pub(crate) rooms: &'a [(Uuid, usize)],
    /// How many any other may have.
    pub(crate) room: usize,
    /// The new lease.
    pub(crate) lease: Uuid,
    /// Until when it holds.
    pub(crate) until: Timestamp,
}

/// What a claim gave.
#[derive(Debug, Default)]
pub(crate) struct Catch {
    /// In the order in which they are to run.
    pub(crate) jobs: Vec<Claimed>,
    /// The tenant behind which the next walk starts.
    pub(crate) after: Option<Uuid>,
    /// Jobs that were found to be behind others of their lane.
    pub(crate) blocked: usize,
}

impl Catch {
    /// Whether another claim may find more.
    pub(crate) fn found_any(&self) -> bool {
        self.blocked > 0 || !self.jobs.is_empty()
    }
}

/// Where a sweep over lanes has come to.
pub(crate) type LanePlace = (Uuid, String);

/// One worker's turn at the queue. Nothing of it happens unless it is committed.
pub(crate) struct Turn(PlatformTx);

impl Turn {
    pub(crate) async fn begin(db: &Db, ctx: &PlatformCtx) -> Result<Self, Error> {
        Ok(Self(db.queue(ctx).await?))
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.0.commit().await
    }

    /// Enters what became of held jobs; those whose lease is no longer theirs are left alone. Gives
    /// the number of these.
    pub(crate) async fn settle(&mut self, settled: &[Settled]) -> Result<u64, Error> {
        if settled.is_empty() {
            return Ok(0);
        }
        let batch = Batch::sort(settled);
        let mut entered = 0;
        if let Some((ids, leases)) = batch.done.columns() {
            entered += self.0.execute(COMPLETE, &[&ids, &leases]).await?;
        }
        if let Some((ids, leases)) = batch.put_off.columns() {
            let (times, refunds, errors) = (batch.run_at, batch.refunds, batch.errors);
            let put_off = [&ids as _, &leases as _, &times as _, &refunds as _, &errors as _];
            entered += self.0.execute(DEFER, &put_off).await?;
        }
        if let Some((ids, leases)) = batch.lost.columns() {
            let (times, reasons) = (batch.died_at, batch.reasons);
            entered += self.0.execute(BURY, &[&ids, &leases, &times, &reasons]).await?;
        }
        let lanes = settled.iter().filter_map(|one| Some((one.hold.owner, one.hold.lane.clone()?)));
        self.free_lanes(lanes.collect()).await?;
        Ok(settled.len() as u64 - entered)
    }

    async fn free_lanes(&mut self, lanes: BTreeSet<(Uuid, String)>) -> Result<(), Error> {
        if lanes.is_empty() {
            return Ok(());
        }
        let (owners, lanes): (Vec<Uuid>, Vec<String>) = lanes.into_iter().unzip();
        self.0.execute(FREE_LANES, &[&owners, &lanes, &LEAST, &GREATEST]).await.map(drop)
    }

    /// Makes ready what is due.
    pub(crate) async fn promote(&mut self, now: Timestamp) -> Result<u64, Error> {
        self.0.execute(PROMOTE, &[&now, &i64::from(SWEEP)]).await
    }

    /// When the next deferred job is due.
    pub(crate) async fn find_next_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let row = self.0.query_opt(NEXT_DUE, &[]).await?;
        Ok(row.and_then(|row| row.get("run_at")))
    }

    /// Takes back what was claimed by workers that no longer renew their leases.
    pub(crate) async fn reclaim(&mut self, now: Timestamp) -> Result<usize, Error> {
        let rows = self.0.query(RECLAIM, &[&now]).await?;
        let lane = |row: &Row| Some((row.get("owner"), row.get::<_, Option<String>>("lane")?));
        self.free_lanes(rows.iter().filter_map(lane).collect()).await?;
        Ok(rows.len())
    }

    /// Holds on to what is claimed; gives the ids of what is still held.
    pub(crate) async fn renew<'a>(
        &mut self,
        held: impl Iterator<Item = (JobId, Uuid)> + 'a,
        until: Timestamp,
    ) -> Result<Vec<JobId>, Error> {
        let (ids, leases): (Vec<Uuid>, Vec<Uuid>) =
            held.map(|(id, lease)| (id.uuid(), lease)).unzip();
        let rows = self.0.query(RENEW, &[&ids, &leases, &until]).await?;
        Ok(rows.iter().map(|row| JobId::from_uuid(row.get("id"))).collect())
    }

    /// Claims what is ready, fairly between tenants.
    pub(crate) async fn claim(&mut self, want: &Want<'_>) -> Result<Catch, Error> {
        let (owners, rooms): (Vec<Uuid>, Vec<i32>) =
            want.rooms.iter().map(|(owner, room)| (*owner, whole(*room))).unzip();
        let (number, room) = (i64::from(whole(want.number)), whole(want.room));
        let who =
            [&want.after as _, &VISITS as _, &number as _, &owners as _, &rooms as _, &room as _];
        let how = [&want.lease as _, &want.until as _, &LEAST as _, &GREATEST as _];
        let params: Vec<&(dyn ToSql + Sync)> = who.into_iter().chain(how).collect();
        let rows = self.0.query(CLAIM, &params).await?;
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by_key(|row| order(row));
        let after = next_start(&rows);
        let free = rows.iter().filter(|row| row.get("free"));
        let jobs: Vec<_> = free.map(|row| read(row, want.lease)).collect::<Result<_, _>>()?;
        let blocked = rows.len() - jobs.len();
        Ok(Catch { jobs, after, blocked })
    }

    /// Frees lanes that nothing would free, which only a foreign hand in the table can have caused.
    /// Gives how many, and where to go on.
    pub(crate) async fn heal(
        &mut self,
        from: &LanePlace,
    ) -> Result<(i64, Option<LanePlace>), Error> {
        let row = self.0.query_opt(HEAL, &[&from.0, &from.1, &SWEEP, &LEAST, &GREATEST]).await?;
        let Some(row) = row else { return Ok((0, None)) };
        let more = row.get::<_, i32>("place") == SWEEP;
        Ok((row.get("healed"), more.then(|| (row.get("owner"), row.get("lane")))))
    }

    /// Enqueues what the schedules want in the present period.
    pub(crate) async fn schedule(
        &mut self,
        schedules: &[Schedule],
        now: Timestamp,
    ) -> Result<usize, Error> {
        schedules::enqueue_due(&mut self.0, schedules, now).await
    }
}

/// Jobs that are ready, counted up to a limit.
pub(crate) async fn count_ready(db: &Db, ctx: &PlatformCtx, limit: i64) -> Result<i64, Error> {
    let row = db.platform_read(ctx).await?.query_opt(COUNT_READY, &[&limit]).await?;
    Ok(row.map_or(0, |row| row.get("ready")))
}

fn whole(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The first job of each tenant before the second of any; tenants in the order of the walk.
fn order(row: &Row) -> (i64, i32) {
    (row.get("rank"), row.get("place"))
}

/// Where the next walk starts: behind the tenant that was served last, who had as much as any
/// other or one job more. A walk too long for one claim goes on where it stopped.
fn next_start(rows: &[&Row]) -> Option<Uuid> {
    let farthest = rows.iter().max_by_key(|row| order(row).1)?;
    let last = if order(farthest).1 >= VISITS { farthest } else { rows.last()? };
    Some(last.get("owner"))
}

fn read(row: &Row, lease: Uuid) -> Result<Claimed, Error> {
    let id: Uuid = row.get("id");
    let tenant: Option<Uuid> = row.get("tenant_id");
    let attempts: i32 = row.get("attempts");
    let due: Option<Timestamp> = row.get("run_at");
    let hold =
        Hold { id: JobId::from_uuid(id), lease, owner: row.get("owner"), lane: row.get("lane") };
    Ok(Claimed {
        hold,
        tenant: tenant.map(TenantId::from_uuid),
        name: row.get("name"),
        payload: row.get("payload"),
        envelope: row.get("envelope"),
        attempts: u32::try_from(attempts).map_err(|_| Error::Corrupt { column: "attempts" })?,
        due: due.unwrap_or_else(|| made_at(id)),
    })
}

/// The time that a UUIDv7 carries (RFC 9562 section 5.7).
fn made_at(id: Uuid) -> Timestamp {
    let ms = u64::try_from(id.as_u128() >> 80).unwrap_or(0);
    later(Timestamp::UNIX_EPOCH, Duration::from_millis(ms))
}

/// Ids and leases, as columns.
#[derive(Default)]
struct Columns(Vec<(Uuid, Uuid)>);

impl Columns {
    fn push(&mut self, hold: &Hold) {
        self.0.push((hold.id.uuid(), hold.lease));
    }

    fn columns(self) -> Option<(Vec<Uuid>, Vec<Uuid>)> {
        (!self.0.is_empty()).then(|| self.0.into_iter().unzip())
    }
}

/// Settled jobs by the statement that enters them.
#[derive(Default)]
struct Batch {
    done: Columns,
    put_off: Columns,
    run_at: Vec<Option<Timestamp>>,
    refunds: Vec<i32>,
    errors: Vec<Option<String>>,
    lost: Columns,
    died_at: Vec<Timestamp>,
    reasons: Vec<String>,
}

impl Batch {
    fn sort(settled: &[Settled]) -> Self {
        let mut batch = Self::default();
        for Settled { hold, outcome } in settled {
            match outcome {
                Outcome::Done => batch.done.push(hold),
                Outcome::Retry { at, error } => batch.put_off(hold, Some(*at), 0, Some(error)),
                Outcome::Park { until } => batch.put_off(hold, Some(*until), 1, None),
                Outcome::GiveBack => batch.put_off(hold, None, 1, None),
                Outcome::Bury { at, error } => {
                    batch.lost.push(hold);
                    batch.died_at.push(*at);
                    batch.reasons.push(error.clone());
                }
            }
        }
        batch
    }

    fn put_off(&mut self, hold: &Hold, at: Option<Timestamp>, refund: i32, error: Option<&String>) {
        self.put_off.push(hold);
        self.run_at.push(at);
        self.refunds.push(refund);
        self.errors.push(error.cloned());
    }
}

#[cfg(test)]
mod tests;
