//! Room `bench`: events published over the API, delivered to receivers on loopback. `deliver`
//! measures rate, delay and cost; `noisy` how long a quiet tenant waits beside one that floods.
//!
//! Load and receivers share this process, the program has one of its own.

mod manner;
mod noisy;
mod peer;
mod sink;
mod sizes;
mod stage;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::cpu::{Meter, Used};
use manner::Manner;
use sink::Sink;
use stage::{Account, publish, sign_in, tenant};

pub use noisy::run_noisy;
pub use peer::{DATABASE, Peer, make_database, run_peer};

/// What is driven and how hard.
#[derive(Debug, Clone)]
pub struct Drive {
    /// `host:port` of the API.
    pub api: String,
    /// The database, whose processor time counts.
    pub server: tokio_postgres::Config,
    /// The processes whose processor time counts, and of the first one its memory.
    pub processes: Vec<u32>,
    /// Events of a round.
    pub size: usize,
    /// Connections that publish at once.
    pub connections: usize,
}

/// What runs and how it is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program.
    pub drive: Drive,
    /// The operator's address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// Seconds at a fixed rate.
    pub seconds: u64,
}

/// How long everything may take to arrive.
const PATIENCE: Duration = Duration::from_mins(5);

/// Endpoints of the fan-out.
const FAN: usize = 10;

/// So many milliseconds that this share of the times is no longer.
pub(crate) fn at(times: &[Duration], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = (times.len().saturating_sub(1) as f64 * share) as usize;
    times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

fn resident_mib(drive: &Drive) -> f64 {
    let process = drive.processes.first().copied().unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0);
    kib / 1_024.0
}

/// What a round as fast as it goes came to.
struct Round {
    accepted_per_s: f64,
    delivered_per_s: f64,
    /// Milliseconds of processor time a message.
    program_ms: f64,
    database_ms: f64,
    own_ms: f64,
    delays: Vec<Duration>,
    lost: usize,
    duplicated: usize,
}

/// Publishes to one endpoint as fast as it goes.
async fn rush(drive: &Drive, account: &Account, sink: &Sink) -> Result<Round, Failure> {
    let meter = Meter::find(&drive.server).await?.beside(&drive.processes);
    publish(drive, account, drive.size / 20 + 1, None).await?;
    sink.wait_for(drive.size / 20 + 1, PATIENCE).await;
    sink.forget();
    let (before, begun) = (meter.read(), Instant::now());
    let accepted = publish(drive, account, drive.size, None).await?;
    let accepting = begun.elapsed();
    sink.wait_for(drive.size, PATIENCE).await;
    let (delivering, used) = (begun.elapsed(), meter.read().since(before));
    let (lost, duplicated) = sink.compare(&accepted);
    let size = drive.size as f64;
    let ms_each = |time: Duration| time.as_secs_f64() * 1_000.0 / size;
    let Used { own, program, server } = used;
    Ok(Round {
        accepted_per_s: size / accepting.as_secs_f64(),
        delivered_per_s: size / delivering.as_secs_f64(),
        program_ms: ms_each(program),
        database_ms: ms_each(server),
        own_ms: ms_each(own),
        delays: sink.forget(),
        lost,
        duplicated,
    })
}

/// Publishes to many endpoints at the same receiver; gives deliveries a second.
async fn fan_out(drive: &Drive, account: &Account, sink: &Sink) -> Result<f64, Failure> {
    let (count, begun) = (drive.size / 4, Instant::now());
    publish(drive, account, count, None).await?;
    sink.wait_for(count * FAN, PATIENCE).await;
    Ok((count * FAN) as f64 / begun.elapsed().as_secs_f64())
}

/// Publishes as fast as it goes, then at 1,000 a second, then to ten endpoints each.
pub async fn run(settings: &Settings) -> Result<Value, Failure> {
    let drive = &settings.drive;
    let operator = sign_in(settings).await?;
    let sink = Sink::start(Manner::PROMPT).await?;
    let account = tenant(settings, &operator, "deliver", &[&sink], 400).await?;
    let round = rush(drive, &account, &sink).await?;
    let count = 1_000 * usize::try_from(settings.seconds)?;
    publish(drive, &account, count, Some(1_000.0)).await?;
    sink.wait_for(count, PATIENCE).await;
    let steady = sink.forget();
    let resident = resident_mib(drive);
    let sizes = sizes::measure(&drive.server).await?;
    let fan = Sink::start(Manner::PROMPT).await?;
    let wide = tenant(settings, &operator, "fan", &[&fan; FAN], 200).await?;
    Ok(json!({
        "accepted_per_s": round.accepted_per_s,
        "delivered_per_s": round.delivered_per_s,
        "cpu_ms_per_message": round.program_ms + round.database_ms,
        "cpu_ms_per_message_program": round.program_ms,
        "cpu_ms_per_message_database": round.database_ms,
        "cpu_ms_per_message_load_and_receiver": round.own_ms,
        "p50_ms": at(&round.delays, 0.5),
        "p99_ms": at(&round.delays, 0.99),
        "p99_ms_at_1000_per_s": at(&steady, 0.99),
        "fanout_deliveries_per_s": fan_out(drive, &wide, &fan).await?,
        "rss_mib": resident,
        "bytes_per_attempt": sizes["bytes_per_attempt"],
        "gib_per_month_at_1000_per_s": sizes["gib_per_month_at_1000_per_s"],
        "lost": round.lost,
        "duplicated": round.duplicated,
    }))
}
