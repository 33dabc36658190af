//! Room `jobs`: rows of `parcels`.
//!
//! As with jobs, every claim happens in a turn that no two processes are in at once. Settling takes
//! no part in it: it only ever makes room. A parcel that is settled while a claim looks is counted
//! as under way once more, which claims too little and never too much.

use misy_core::{PlatformCtx, Timestamp};
use misy_store::{Db, Error, PlatformTx, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::pace::Seen;
use super::{Fate, Parcel};

/// Lanes (an address, and whether its parcels were tried before) that one claim visits.
const VISITS: i32 = 200;

/// The fewest that a lane offers; all lanes of a tenant together offer twice what a claim takes.
const OFFER_MIN: i64 = 10;

/// Parcels that one turn makes ready or takes back.
const SWEEP: i64 = 2_000;

/// Serial parcels of an address that are claimed together, to be carried one after another.
const RUN: i64 = 20;

/// Walks round the lanes that have something ready, from behind the given one; takes from each what
/// its address has room for; then the first of each tenant before the second of any. Of a serial
/// address only a run is taken that begins with the oldest parcel it has, and only while none is
/// under way. What was chosen is asked for once more in words that only the primary key answers: by
/// the index of what is ready each would be looked for among all that its tenant has. Offers are
/// put in order by numbers (of a lane, of a place in it): by ids that takes ten times as long.
const CLAIM: &str = "
    with recursive ahead (tenant_id, address, again, cap, serial, place) as (
        (select tenant_id, address, again, cap, serial, 1 from parcels
         where state = 'ready' and (tenant_id, address, again) > ($1, $2, $3)
         order by tenant_id, address, again limit 1)
        union all
        select next.*, ahead.place + 1 from ahead cross join lateral (
            select tenant_id, address, again, cap, serial from parcels
            where state = 'ready' and (parcels.tenant_id, parcels.address, parcels.again)
                > (ahead.tenant_id, ahead.address, ahead.again)
            order by tenant_id, address, again limit 1) next
        where ahead.place < $4),
    around (tenant_id, address, again, cap, serial, place) as (
        (select tenant_id, address, again, cap, serial, 1 from parcels
         where state = 'ready' and (tenant_id, address, again) <= ($1, $2, $3)
         order by tenant_id, address, again limit 1)
        union all
        select next.*, around.place + 1 from around cross join lateral (
            select tenant_id, address, again, cap, serial from parcels
            where state = 'ready' and (parcels.tenant_id, parcels.address, parcels.again)
                > (around.tenant_id, around.address, around.again)
                and (parcels.tenant_id, parcels.address, parcels.again) <= ($1, $2, $3)
            order by tenant_id, address, again limit 1) next
        where around.place < $4),
    ring as (
        select *, row_number() over () as turn
        from (select * from ahead union all select * from around) lanes limit $4),
    lane as (
        select ring.tenant_id, ring.address, ring.again, ring.serial, ring.turn,
            min(ring.turn) over (partition by ring.tenant_id, ring.address) as home, case
            when ring.serial and under_way.number > 0 then 0
            when ring.serial and 'ready' <> (
                select first.state from parcels first where first.serial
                    and first.tenant_id = ring.tenant_id and first.address = ring.address
                order by first.tenant_id, first.address, first.id limit 1) then 0
            when ring.serial then $5
            when ring.again then greatest(ring.cap / 2, 1) - under_way.tried
            else ring.cap - under_way.number end as room,
            ring.cap - under_way.number as space,
            greatest(2 * $9::bigint / count(*) over (partition by ring.tenant_id), $12) as offer,
            coalesce(($7::bigint[])[array_position($6::uuid[], ring.tenant_id)], $8) as allowed
        from ring cross join lateral (
            select count(*) as number, count(*) filter (where parcels.again) as tried
            from parcels where state = 'out' and parcels.tenant_id = ring.tenant_id
                and parcels.address = ring.address) under_way),
    candidate as (
        select next.tenant_id, next.id, lane.turn, lane.serial, lane.space, lane.allowed,
            next.place >= lane.offer and lane.room > lane.offer and not lane.serial as short,
            row_number() over (
                partition by lane.home order by lane.again, next.place) as at_address
        from lane cross join lateral (
            select tenant_id, id, row_number() over (order by id) as place from (
                select tenant_id, id from parcels
                where state = 'ready' and parcels.tenant_id = lane.tenant_id
                    and parcels.address = lane.address and parcels.again = lane.again
                order by parcels.tenant_id, parcels.address, parcels.again, parcels.id
                limit greatest(least(lane.room, lane.allowed, lane.offer, $9), 0)) first) next),
    ranked as (
        select *, row_number() over (partition by tenant_id order by at_address, turn) as rank
        from candidate where serial or at_address <= space),
    chosen as (
        select tenant_id, id, short, row_number() over (order by rank, turn) as place from ranked
        where rank <= allowed order by rank, turn limit $9),
    claimed as (
        update parcels set state = 'out', lease = $10, lease_until = $11,
            attempts = parcels.attempts + 1
        from chosen where parcels.tenant_id = chosen.tenant_id and parcels.id = chosen.id
            and parcels.state not in ('later', 'out')
        returning chosen.place, chosen.short, parcels.tenant_id, parcels.id, parcels.address,
            parcels.attempts, parcels.serial)
    select seen.lanes, edge.tenant_id as edge_tenant, edge.address as edge_address,
        edge.again as edge_again, claimed.*
    from (select count(*) as lanes from ring) seen
        left join ring as edge on edge.turn = case when seen.lanes >= $4 then seen.lanes else 1 end
        left join claimed on true
    order by claimed.place";

const PROMOTE: &str = "
    update parcels set state = 'ready', due_at = null
    from (select tenant_id, id from parcels where state = 'later' and due_at <= $1
          order by due_at limit $2) due
    where parcels.tenant_id = due.tenant_id and parcels.id = due.id";

const NEXT_DUE: &str = "select min(due_at) as due_at from parcels where state = 'later'";

const RECLAIM: &str = "
    update parcels set state = 'ready', lease = null, lease_until = null
    from (select tenant_id, id from parcels where state = 'out' and lease_until <= $1 limit $2) lost
    where parcels.tenant_id = lost.tenant_id and parcels.id = lost.id";

const SETTLE: &str = "
    with ended as (
        select * from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::boolean[])
            as ended (id, lease, due_at, tried)),
    gone as (
        delete from parcels using ended
        where parcels.tenant_id = $1 and parcels.id = ended.id and parcels.lease = ended.lease
            and ended.due_at is null
        returning parcels.id),
    put_off as (
        update parcels set state = case when ended.due_at <= $6 then 'ready' else 'later' end,
            due_at = ended.due_at, lease = null, lease_until = null,
            again = not parcels.serial and (parcels.again or ended.tried),
            attempts = parcels.attempts - case when ended.tried then 0 else 1 end
        from ended
        where parcels.tenant_id = $1 and parcels.id = ended.id and parcels.lease = ended.lease
            and ended.due_at is not null
        returning parcels.id)
    select id from gone union all select id from put_off";

/// Stops counting at the limit: a backlog may be of any size.
const COUNT: &str = "
    select count(*) as number
    from (select from parcels where tenant_id = $1 limit $2) as counted";

/// The oldest is told of those that are counted. Ids begin with their time, so the least is it.
const COUNT_ALL: &str = "
    select count(*) filter (where state = 'ready') as ready,
        count(*) filter (where state = 'later') as later,
        min(id::text collate \"C\")::uuid as oldest,
        (min(id::text collate \"C\") filter (where state = 'ready' and not again))::uuid
            as oldest_first
    from (select id, state, again from parcels limit $1) as counted";

/// How far round a walk has come.
pub(super) type Place = (Uuid, Uuid, bool);

/// What a claim asks for.
pub(super) struct Want<'a> {
    pub(super) number: usize,
    pub(super) after: Place,
    /// How many more each tenant may have that has some already.
    pub(super) rooms: &'a [(Uuid, usize)],
    /// How many any other may.
    pub(super) room: usize,
    pub(super) lease: Uuid,
    pub(super) until: Timestamp,
}

/// What a claim gave.
#[derive(Default)]
pub(super) struct Catch {
    /// By tenant, each in the order in which they are to go.
    pub(super) parcels: Vec<(Uuid, Parcel)>,
    /// Lanes that had something ready, taken or not, as far as it came.
    lanes: i64,
    /// Whether a lane may give more than it offered. A serial one waits for what it gave.
    is_short: bool,
    pub(super) after: Option<Place>,
}

impl Catch {
    /// What it found that was to take so many at most.
    pub(super) fn seen(&self, most: usize) -> Seen {
        let number = self.parcels.len();
        match number {
            _ if self.lanes == 0 => Seen::Nothing,
            0 => Seen::Waiting,
            _ if number >= most || self.is_short || self.lanes >= VISITS.into() => Seen::Much,
            _ => Seen::Some,
        }
    }
}

/// One process's turn at the queue.
pub(super) struct Turn(PlatformTx);

impl Turn {
    pub(super) async fn begin(db: &Db, ctx: &PlatformCtx) -> Result<Self, Error> {
        Ok(Self(db.parcels(ctx).await?))
    }

    pub(super) async fn commit(self) -> Result<(), Error> {
        self.0.commit().await
    }

    /// Makes ready what is due.
    pub(super) async fn promote(&mut self, now: Timestamp) -> Result<u64, Error> {
        self.0.execute(PROMOTE, &[&now, &SWEEP]).await
    }

    pub(super) async fn find_next_due(&mut self) -> Result<Option<Timestamp>, Error> {
        let row = self.0.query_opt(NEXT_DUE, &[]).await?;
        Ok(row.and_then(|row| row.get("due_at")))
    }

    /// Takes back what was claimed by processes that are gone.
    pub(super) async fn reclaim(&mut self, now: Timestamp) -> Result<u64, Error> {
        self.0.execute(RECLAIM, &[&now, &SWEEP]).await
    }

    pub(super) async fn claim(&mut self, want: &Want<'_>) -> Result<Catch, Error> {
        let (tenants, rooms): (Vec<Uuid>, Vec<i64>) =
            want.rooms.iter().map(|(tenant, room)| (*tenant, whole(*room))).unzip();
        let (number, room) = (whole(want.number), whole(want.room));
        let from = [&want.after.0 as _, &want.after.1 as _, &want.after.2 as _, &VISITS as _];
        let share = [&RUN as _, &tenants as _, &rooms as _, &room as _, &number as _];
        let hold = [&want.lease as _, &want.until as _, &OFFER_MIN as _];
        let params: Vec<&(dyn ToSql + Sync)> = from.into_iter().chain(share).chain(hold).collect();
        let rows = self.0.query(CLAIM, &params).await?;
        let Some(first) = rows.first() else { return Ok(Catch::default()) };
        let lanes: i64 = first.get("lanes");
        let after = (lanes > 0).then(|| {
            (first.get("edge_tenant"), first.get("edge_address"), first.get("edge_again"))
        });
        let is_short = rows.iter().any(|row| row.get::<_, Option<bool>>("short") == Some(true));
        let parcels = rows.iter().filter_map(|row| read(row, want.lease)).collect();
        Ok(Catch { parcels, lanes, is_short, after })
    }
}

fn read(row: &Row, lease: Uuid) -> Option<(Uuid, Parcel)> {
    let tenant: Option<Uuid> = row.get("tenant_id");
    let attempts: i16 = row.get::<_, Option<i16>>("attempts")?;
    let parcel = Parcel {
        id: row.get("id"),
        address: row.get("address"),
        attempts: u32::try_from(attempts).unwrap_or(0),
        serial: row.get("serial"),
        lease,
    };
    tenant.map(|tenant| (tenant, parcel))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) async fn settle(
    tx: &mut TenantTx,
    ended: &[(&Parcel, Fate)],
) -> Result<Vec<Uuid>, Error> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) =
        ended.iter().map(|(parcel, _)| (parcel.id, parcel.lease)).unzip();
    let (due, tried): (Vec<Option<Timestamp>>, Vec<bool>) = ended
        .iter()
        .map(|(_, fate)| match fate {
            Fate::Done => (None, true),
            Fate::Again { at } => (Some(*at), true),
            Fate::Back { at } => (Some(*at), false),
        })
        .unzip();
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let rows = tx.query(SETTLE, &[&tenant, &ids, &leases, &due, &tried, &now]).await?;
    Ok(rows.iter().map(|row| row.get("id")).collect())
}

/// Whether the tenant has at least so many parcels that are not through.
pub async fn is_beyond(tx: &mut TenantTx, limit: i64) -> Result<bool, Error> {
    let row = tx.query_opt(COUNT, &[&tx.tenant(), &limit]).await?;
    Ok(row.is_some_and(|row| row.get::<_, i64>("number") >= limit))
}

/// What waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// May be claimed now.
    pub ready: i64,
    /// Waits for its time.
    pub later: i64,
    /// When the oldest of all came, those under way too.
    pub oldest: Option<Timestamp>,
    /// When the oldest came that is ready and was never tried.
    pub oldest_first: Option<Timestamp>,
}

/// What waits, counted up to a limit.
pub async fn count(db: &Db, ctx: &PlatformCtx, limit: i64) -> Result<Waiting, Error> {
    let row = db.platform_read(ctx).await?.query_opt(COUNT_ALL, &[&limit]).await?;
    let Some(row) = row else { return Ok(Waiting::default()) };
    let came = |id: Option<Uuid>| {
        let ms = i64::try_from(id?.as_u128() >> 80).ok()?;
        Timestamp::from_millisecond(ms).ok()
    };
    Ok(Waiting {
        ready: row.get("ready"),
        later: row.get("later"),
        oldest: came(row.get("oldest")),
        oldest_first: came(row.get("oldest_first")),
    })
}
