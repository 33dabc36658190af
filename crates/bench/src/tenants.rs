//! Room `bench`: many tenants. How fast they are provisioned, what one that does nothing costs in
//! memory, whether reading among ten thousand takes longer than reading among one, and how long an
//! operator waits who lists them or looks for one.
//!
//! All are provisioned by the API, with all that a tenant gets, and then given twenty contacts. A
//! read is what every request of a tenant does: ask whether the tenant is active, then list twenty
//! contacts in one round trip.
//!
//! Ten thousand tenants are compared with one that reads the same twenty again and again (`ratio`).
//! How much of that is the processor's caches, and not the tenants, tells one that has as many
//! contacts as all of them and reads twenty anywhere among them: the same rows and pages, only of
//! one owner (`same_rows`).

mod lookups;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http::Method;
use misy_core::crypto::{sha256, to_hex};
use misy_core::id::TypedId;
use misy_core::{Grants, PlatformCtx, TenantId};
use misy_jobs::Tenants;
use misy_store::Db;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::deliver::at;
use crate::dice::Dice;
use crate::http::Connection;
use crate::{Failure, sql};

/// What is read, and how much.
pub struct Settings {
    /// `host:port` of the API.
    pub api: String,
    /// The operator's address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// The database's administrator.
    pub server: tokio_postgres::Config,
    /// The program's door to it.
    pub db: Db,
    /// Who is active, as the program knows it.
    pub directory: Arc<dyn Tenants>,
    /// On whose behalf tenants are entered.
    pub ctx: PlatformCtx,
    /// Tenants that are provisioned, and among which is read.
    pub size: usize,
}

/// Reads of one round: two for each of ten thousand tenants, and the slowest hundredth of them are
/// so many that a hiccup of the machine does not decide.
const READS: usize = 20_000;

/// Rounds with one tenant, and as many in between with all.
const ROUNDS: usize = 5;

/// Who reads and who provisions at once.
const AT_ONCE: usize = 4;

/// In no order, as people come: the rows of a tenant lie scattered among those of others. The last
/// twenty of the large tenant's are there so that twenty follow wherever a read begins.
const SEED: &str = "
    with people (tenant, contact) as (
        select id, gen_random_uuid() from tenants, generate_series(1, 20)
        union all
        select $1::uuid, gen_random_uuid() from tenants, generate_series(1, 20)
        union all
        select $1, ('ffffffff-ffff-4fff-8fff-' || lpad(n::text, 12, 'f'))::uuid
        from generate_series(1, 20) n)
    insert into contacts (tenant_id, id, display_name)
    select tenant, contact, 'somebody' from people order by random()";

/// Whoever remembers tenants looks for those that were changed in the last minutes, twice a second:
/// ten thousand at once are no daily business, and no part of a read.
const AGE: &str = "update tenants set updated_at = updated_at - interval '1 day'";

const IDS: &str = "select id from tenants order by id";

const LIST: &str = "
    select id, display_name from contacts where tenant_id = $1 and id >= $2 order by id limit 20";

/// Runs all of it.
pub async fn run(settings: &Settings) -> Result<Value, Failure> {
    let provisioned_per_s = provision(settings).await?;
    let ids = sql::with(&settings.server, async |client| {
        let rows = client.query(IDS, &[]).await?;
        let mut ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
        let large = ids.pop().ok_or("no tenant")?;
        client.execute(SEED, &[&large]).await?;
        client.execute(AGE, &[]).await?;
        Ok((ids, large))
    });
    let (ids, large) = ids.await?;
    for table in ["tenants", "contacts"] {
        sql::run(&settings.server, &format!("vacuum (analyze) {table}")).await?;
    }
    let bytes = bytes_per_idle_tenant(settings, &ids).await?;
    let lookups = lookups::measure(settings, &ids).await?;
    let (mut one, mut all, mut same_rows) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        one.push(read_times(settings, Whose::Any(&ids[..1]), round).await?);
        all.push(read_times(settings, Whose::Any(&ids), round).await?);
        same_rows.push(read_times(settings, Whose::Large(large), round).await?);
    }
    let at = |rounds: &[Vec<Duration>], share| {
        median(rounds.iter().map(|times| at(times, share)).collect())
    };
    let (p99_one, p99_all) = (at(&one, 0.99), at(&all, 0.99));
    let p99_same_rows = at(&same_rows, 0.99);
    let mut figures = json!({
        "provisioned_per_s": provisioned_per_s,
        "bytes_per_idle_tenant": bytes,
        "read_p50_ms_1_tenant": at(&one, 0.5),
        "read_p50_ms_10000_tenants": at(&all, 0.5),
        "read_p99_ms_1_tenant": p99_one,
        "read_p99_ms_10000_tenants": p99_all,
        "ratio": p99_all / p99_one,
        "read_p50_ms_same_rows": at(&same_rows, 0.5),
        "read_p99_ms_same_rows": p99_same_rows,
        "ratio_same_rows": p99_all / p99_same_rows,
    });
    if let (Value::Object(figures), Value::Object(more)) = (&mut figures, lookups) {
        figures.extend(more);
    }
    Ok(figures)
}

async fn provision(settings: &Settings) -> Result<f64, Failure> {
    let mut api = Connection::open(&settings.api).await?;
    let operator = &api.sign_in(&settings.email, &settings.password).await?;
    let some = async |first: usize| -> Result<(), Failure> {
        let mut api = Connection::open(&settings.api).await?;
        for number in (first..settings.size).step_by(AT_ONCE) {
            let made = api.json(Method::POST, "/v1/tenants", Some(operator), &new(number)).await?;
            if made["status"] != "active" {
                return Err(format!("not provisioned: {made}").into());
            }
        }
        Ok(())
    };
    let begun = Instant::now();
    try_join_all((0..AT_ONCE).map(some)).await?;
    Ok(settings.size as f64 / begun.elapsed().as_secs_f64())
}

fn new(number: usize) -> Value {
    let slug = format!("idle-{number}");
    let name = format!("Idle {}", &to_hex(&sha256(slug.as_bytes()))[..12]);
    let plan = if number.is_multiple_of(10) { "trial" } else { "unlimited" };
    let owner = json!({
        "email": format!("owner@{slug}.example"), "name": "Owner",
        "password": format!("bench-{slug}-Passw0rd!"),
    });
    json!({ "slug": slug, "name": name, "owner": owner, "plan": plan })
}

/// What this process holds more after it has served every tenant once and then rested.
async fn bytes_per_idle_tenant(settings: &Settings, ids: &[Uuid]) -> Result<f64, Failure> {
    let mut dice = Dice::new(1);
    for _ in 0..READS {
        read(settings, Whose::Any(&ids[..ids.len().min(8)]).draw(&mut dice)).await?;
    }
    let before = resident_bytes()?;
    for id in ids {
        read(settings, (*id, Uuid::nil())).await?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = resident_bytes()?.saturating_sub(before);
    Ok(more as f64 / ids.len() as f64)
}

fn resident_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

/// One of them, by lot.
fn drawn(dice: &mut Dice, ids: &[Uuid]) -> Uuid {
    ids[dice.below(ids.len() as u64) as usize]
}

/// Whose contacts are read.
#[derive(Debug, Clone, Copy)]
enum Whose<'a> {
    /// All twenty of any of these.
    Any(&'a [Uuid]),
    /// Twenty anywhere among those of one.
    Large(Uuid),
}

impl Whose<'_> {
    /// A tenant and the contact from which on is read, by lot.
    fn draw(self, dice: &mut Dice) -> (Uuid, Uuid) {
        match self {
            Self::Any(ids) => (drawn(dice, ids), Uuid::nil()),
            // Their ids are spread evenly.
            Self::Large(id) => (id, Uuid::from_u128(u128::from(dice.below(1 << 32)) << 96)),
        }
    }
}

async fn read(settings: &Settings, (tenant, from): (Uuid, Uuid)) -> Result<(), Failure> {
    let ctx = settings.ctx.enter(TenantId::from_uuid(tenant), Grants::NONE);
    if !settings.directory.is_active(ctx.tenant()).await? {
        return Err("the tenant is not active".into());
    }
    let mut tx = settings.db.read(&ctx).await?;
    let rows = tx.query(LIST, &[&ctx.tenant().uuid(), &from]).await?;
    if rows.len() == 20 { Ok(()) } else { Err(format!("{} contacts", rows.len()).into()) }
}

/// How long reads among so many tenants take.
async fn read_times(
    settings: &Settings,
    whose: Whose<'_>,
    round: usize,
) -> Result<Vec<Duration>, Failure> {
    let some = async |reader: usize| -> Result<Vec<Duration>, Failure> {
        let mut dice = Dice::new((round * AT_ONCE + reader) as u64);
        let mut times = Vec::with_capacity(READS / AT_ONCE);
        for _ in 0..READS / AT_ONCE {
            let begun = Instant::now();
            read(settings, whose.draw(&mut dice)).await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    };
    Ok(try_join_all((0..AT_ONCE).map(some)).await?.concat())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
