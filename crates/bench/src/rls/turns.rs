//! Room `bench`: the same work by the program's door and by the floor's, turn by turn.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use misy_store::{Config, Db, ToSql};
use tokio_postgres::Config as Server;

use super::proxy::Proxy;
use super::stage::{Spot, Stage};
use super::{Settings, rows, statements};
use crate::Failure;
use crate::awake::Awake;

const MESSAGES: &str = "conversation/src/messages/store.rs";

/// For how long something is measured, and in which steps.
#[derive(Debug, Clone, Copy)]
struct Length {
    seconds: u64,
    /// Turns of one side before the next is asked; whoever is first alternates.
    block: usize,
    at_once: usize,
}

impl Length {
    /// One turn after the other: it takes what somebody waits.
    fn waited(seconds: u64) -> Self {
        Self { seconds, block: 1, at_once: 1 }
    }

    /// Turns that leave the server no pause: one takes what its processors work.
    fn busy(seconds: u64) -> Self {
        Self { seconds, block: 64, at_once: AT_ONCE }
    }
}

/// Turns under way at once, and so the connections.
pub(super) const AT_ONCE: usize = 4;

/// What stands for the four statements of a write: a customer's row, a message, its conversation
/// and a try to send it.
const WRITE: [&str; 4] = [
    "update contacts set version = version + 1, updated_at = now()
        where uuid_eq(tenant_id, $1) and id = $2",
    "insert into messages (tenant_id, id, conversation_id, channel_id, direction, author_kind,
        content, status) values ($1, $2, $3, $1, 'outbound', 'user',
        '{\"type\": \"text\", \"text\": \"Your parcel is on its way\"}', 'queued')",
    "update conversations set last_message_at = now(), version = version + 1
        where uuid_eq(tenant_id, $1) and id = $2",
    "insert into message_attempts (tenant_id, id, message_id, state) values ($1, $2, $3, 'sent')",
];

/// The search without policies: the same index, asked directly, with the tenant as a parameter.
const SEARCH_FLOOR: &str = "
    with hit as materialized (
        select id from messages where tenant_id = $1 and words @@ plainto_tsquery('simple', $2)
            and misy_tenant_words(tenant_id, words)
                @> misy_tenant_words($1, to_tsvector('simple', $2)))
    select messages.* from messages join (select id from hit order by id desc limit 51) as newest
        using (id) where tenant_id = $1 order by id desc";

/// How a statement reaches its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// As the program does it: by the tenant's role, with the tenant set, under the policies.
    Policies,
    /// The same in every way, by a role that no policy binds.
    Off,
    /// Such a role too, in a transaction that sets no tenant.
    Bare,
}

/// A statement as it is said under policies and without them.
struct Forms {
    ours: String,
    plain: String,
}

impl Forms {
    fn of(ours: String) -> Self {
        // Another text, so that each has a plan of its own: one that both roles use is made anew
        // whenever the role is another.
        Self { plain: statements::without_policies(&ours) + " ", ours }
    }

    fn named(name: &str) -> Result<Self, Failure> {
        Ok(Self::of(statements::get(MESSAGES, name)?))
    }
}

/// One kind of work on each side: medians in milliseconds, and how they compare.
pub(super) struct Trio {
    pub(super) policies: f64,
    pub(super) off: f64,
    pub(super) bare: f64,
    /// What the policies cost, in percent.
    pub(super) overhead_pct: f64,
    /// What policies and the setting of the tenant cost together, in percent.
    pub(super) with_context_pct: f64,
}

impl Trio {
    const SIDES: [Side; 3] = [Side::Policies, Side::Off, Side::Bare];

    fn of(times: &[Vec<f64>]) -> Self {
        let at = |place: usize| times.get(place).map_or(&[][..], Vec::as_slice);
        let (policies, off, bare) = (at(0), at(1), at(2));
        Self {
            policies: median(policies.to_vec()),
            off: median(off.to_vec()),
            bare: median(bare.to_vec()),
            overhead_pct: more_pct(policies, off),
            with_context_pct: more_pct(policies, bare),
        }
    }
}

/// By how much the first is more than the second, round by round: what slows the machine down for a
/// while slows both.
fn more_pct(ours: &[f64], floor: &[f64]) -> f64 {
    let ratios = ours.iter().zip(floor).map(|(ours, floor)| (ours / floor - 1.0) * 100.0);
    median(ratios.collect())
}

/// A search for words of one frequency.
pub(super) struct Search {
    pub(super) name: &'static str,
    pub(super) policies_ms: f64,
    pub(super) floor_ms: f64,
}

/// Numbers that look like chance and repeat.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }
}

/// Does the work on all sides in blocks, each block on the same rows, for so long. Gives what a
/// turn takes of its block's time, in milliseconds, round by round for each side.
async fn compare(
    stage: &Stage,
    length: Length,
    sides: &[Side],
    work: impl AsyncFn(Side, Spot) -> Result<(), Failure>,
) -> Result<Vec<Vec<f64>>, Failure> {
    let Length { seconds, block, at_once } = length;
    let mut numbers = Numbers(7);
    let mut times = vec![Vec::new(); sides.len()];
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut round = 0_usize;
    while Instant::now() < until || round < 8 {
        let spots: Vec<Spot> = (0..block).map(|_| stage.spot(numbers.next())).collect();
        let all = async |side| {
            let turns = stream::iter(&spots).map(|spot| work(side, *spot));
            turns.buffer_unordered(at_once).try_collect::<()>().await
        };
        for turn in 0..sides.len() {
            let at = (round + turn) % sides.len();
            if sides[at] == Side::Off {
                stage.unbind().await?;
            }
            // The first pass finds rows cold: it does not count.
            all(sides[at]).await?;
            let begun = Instant::now();
            all(sides[at]).await?;
            times[at].push(begun.elapsed().as_secs_f64() * 1e3 / block as f64);
            if sides[at] == Side::Off {
                stage.bind().await?;
            }
        }
        round += 1;
    }
    Ok(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn read(
    stage: &Stage,
    side: Side,
    spot: Spot,
    sql: &Forms,
    params: &[&(dyn ToSql + Sync)],
) -> Result<(), Failure> {
    let ctx = stage.ctx(spot.tenant);
    let rows = match side {
        Side::Policies => stage.db.read(&ctx).await?.query(&sql.ours, params).await?,
        Side::Off => stage.db.read(&ctx).await?.query(&sql.plain, params).await?,
        Side::Bare => stage.db.platform_read(&stage.floor).await?.query(&sql.plain, params).await?,
    };
    if rows.is_empty() { Err("nothing was read".into()) } else { Ok(()) }
}

/// All kinds of work, by name, as they are waited for and as they keep the server busy; and a write
/// as the program commits it, when it waits for the disk as well.
pub(super) async fn kinds(stage: &Stage, seconds: u64) -> Result<Vec<(String, Trio)>, Failure> {
    let awake = Awake::keep()?;
    let waited = trios(stage, Length::waited(seconds)).await?;
    stage.wait_for_disk(true).await?;
    let durable = write4(stage, Length::waited(seconds)).await?;
    stage.wait_for_disk(false).await?;
    drop(awake);
    let busy = trios(stage, Length::busy(seconds)).await?;
    let waited = waited.map(|(name, trio)| (name.to_owned(), trio));
    let durable = [("write4_durable".to_owned(), durable)];
    let busy = busy.map(|(name, trio)| (format!("{name}_busy"), trio));
    Ok(waited.into_iter().chain(durable).chain(busy).collect())
}

async fn trios(stage: &Stage, length: Length) -> Result<[(&'static str, Trio); 3], Failure> {
    Ok([
        ("point_read", point_read(stage, length).await?),
        ("range_read", range_read(stage, length).await?),
        ("write4", write4(stage, length).await?),
    ])
}

/// One message by its id.
async fn point_read(stage: &Stage, length: Length) -> Result<Trio, Failure> {
    let sql = Forms::named("FIND")?;
    let work = async |side, spot: Spot| {
        read(stage, side, spot, &sql, &[&spot.tenant, &spot.message]).await
    };
    Ok(Trio::of(&compare(stage, length, &Trio::SIDES, work).await?))
}

/// A page of a conversation's messages.
async fn range_read(stage: &Stage, length: Length) -> Result<Trio, Failure> {
    let sql = Forms::named("LIST_NEWEST_FIRST")?;
    let (from, limit) = (uuid::Uuid::max(), 51_i64);
    let work = async |side, spot: Spot| {
        let params: [&(dyn ToSql + Sync); 4] = [&spot.tenant, &spot.conversation, &from, &limit];
        read(stage, side, spot, &sql, &params).await
    };
    Ok(Trio::of(&compare(stage, length, &Trio::SIDES, work).await?))
}

/// A transaction of four statements.
async fn write4(stage: &Stage, length: Length) -> Result<Trio, Failure> {
    let forms = WRITE.map(|sql| Forms::of(sql.to_owned()));
    let work = async |side, spot: Spot| {
        let (message, attempt) = (stage.id(), stage.id());
        let sql =
            forms.iter().map(|one| if side == Side::Policies { &one.ours } else { &one.plain });
        let all = sql.zip(writes(&spot, &message, &attempt));
        if side == Side::Bare {
            let mut tx = stage.db.platform(&stage.floor).await?;
            for (sql, params) in all {
                tx.execute(sql, &params).await?;
            }
            return Ok(tx.commit().await?);
        }
        let mut tx = stage.db.tenant(&stage.ctx(spot.tenant)).await?;
        for (sql, params) in all {
            tx.execute(sql, &params).await?;
        }
        Ok(tx.commit().await?)
    };
    Ok(Trio::of(&compare(stage, length, &Trio::SIDES, work).await?))
}

fn writes<'a>(
    spot: &'a Spot,
    message: &'a uuid::Uuid,
    attempt: &'a uuid::Uuid,
) -> [Vec<&'a (dyn ToSql + Sync)>; 4] {
    let Spot { tenant, conversation, .. } = spot;
    [
        vec![tenant, conversation],
        vec![tenant, message, conversation],
        vec![tenant, conversation],
        vec![tenant, attempt, message],
    ]
}

/// Searches of the largest tenant, for words that one, a few, some, many and all messages have.
pub(super) async fn searches(stage: &Stage, seconds: u64) -> Result<Vec<Search>, Failure> {
    let sql = Forms::named("SEARCH")?;
    let floor = Forms::of(SEARCH_FLOOR.to_owned());
    // The first tenant is the largest.
    let large = rows::tenant(1);
    let mut found = Vec::new();
    for (name, words) in [
        ("one", "order25"),
        ("seldom", "seldom"),
        ("sometimes", "sometimes"),
        ("often", "often"),
        ("all", "hello"),
        ("two_words", "seldom hello"),
    ] {
        let (before, wanted) = (None::<uuid::Uuid>, 51_i32);
        let work = async |side, spot: Spot| {
            if side == Side::Bare {
                return read(stage, side, spot, &floor, &[&large, &words]).await;
            }
            let params: [&(dyn ToSql + Sync); 4] = [&large, &words, &before, &wanted];
            read(stage, side, Spot { tenant: large, ..spot }, &sql, &params).await
        };
        let sides = [Side::Policies, Side::Bare];
        let length = Length::waited(seconds.div_ceil(3));
        let mut medians = compare(stage, length, &sides, work).await?.into_iter().map(median);
        let mut next = || medians.next().unwrap_or_default();
        found.push(Search { name, policies_ms: next(), floor_ms: next() });
    }
    Ok(found)
}

/// The median of a read of both kinds, in milliseconds.
pub(super) async fn read_time(stage: &Stage, seconds: u64) -> Result<f64, Failure> {
    let point = point_read(stage, Length::waited(seconds.div_ceil(2))).await?;
    let range = range_read(stage, Length::waited(seconds.div_ceil(2))).await?;
    Ok(point.policies + range.policies)
}

/// How often a tenant's read waits for the network: what it takes longer behind a proxy that holds
/// each answer back, in such delays.
pub(super) async fn round_trips(
    settings: &Settings,
    server: &Server,
    stage: &Stage,
    delay: Duration,
) -> Result<f64, Failure> {
    let proxy = Proxy::before(server, delay).await?;
    let pools = Config { tenant_connections: 1, platform_connections: 1, ..Config::default() };
    let behind =
        Db::open(&proxy.config(server), &settings.passwords, &pools, settings.ambient.clone());
    let sql = statements::get(MESSAGES, "FIND")?;
    let mut medians = [0.0, 0.0];
    for (db, typical) in [&stage.db, &behind].into_iter().zip(&mut medians) {
        let mut numbers = Numbers(11);
        let mut times = Vec::new();
        for round in 0..60 {
            let spot = stage.spot(numbers.next());
            let begun = Instant::now();
            let mut tx = db.read(&stage.ctx(spot.tenant)).await?;
            tx.query(&sql, &[&spot.tenant, &spot.message]).await?;
            // The first ones connect and prepare.
            if round >= 10 {
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        *typical = median(times);
    }
    Ok((medians[1] - medians[0]) / proxy.held_back_ms())
}
