//! Room `bench`: events published over the API, delivered to receivers on loopback. `deliver`
//! measures rate, delay and cost; `noisy` how long a quiet tenant waits beside one that floods.
//!
//! Load and receivers share this process, the program has one of its own.

mod sink;
mod sizes;
mod stage;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use crate::cpu::Meter;
use sink::Sink;
use stage::{Account, publish, sign_in, tenant};

/// What runs and how hard it is driven.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of the API.
    pub api: String,
    /// The operator's address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// The database, whose processor time counts.
    pub server: tokio_postgres::Config,
    /// The program's process, whose processor time and memory count.
    pub program: u32,
    /// Events of a round.
    pub size: usize,
    /// Connections that publish at once.
    pub connections: usize,
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

fn resident_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0);
    kib / 1_024.0
}

/// Publishes as fast as it goes, then at 1,000 a second, then to ten endpoints each.
pub async fn run(settings: &Settings) -> Result<Value, Failure> {
    let operator = sign_in(settings).await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let account = tenant(settings, &operator, "deliver", &[&sink], 400).await?;
    let meter = Meter::find(&settings.server).await?.beside(settings.program);
    publish(settings, &account, settings.size / 20 + 1, None).await?;
    sink.wait_for(settings.size / 20 + 1, PATIENCE).await;
    sink.forget();
    let (before, begun) = (meter.read(), Instant::now());
    let accepted = publish(settings, &account, settings.size, None).await?;
    let accepting = begun.elapsed();
    sink.wait_for(settings.size, PATIENCE).await;
    let (delivering, used) = (begun.elapsed(), meter.read().since(before));
    let (lost, duplicated) = sink.compare(&accepted);
    let delays = sink.forget();
    let rate = 1_000.0;
    let count = 1_000 * usize::try_from(settings.seconds)?;
    publish(settings, &account, count, Some(rate)).await?;
    sink.wait_for(count, PATIENCE).await;
    let steady = sink.forget();
    let resident = resident_mib(settings.program);
    let sizes = sizes::measure(&settings.server).await?;
    let fan = Sink::start(Duration::ZERO).await?;
    let many = vec![&fan; FAN];
    let wide = tenant(settings, &operator, "fan", &many, 200).await?;
    let count = settings.size / 4;
    let fanning = Instant::now();
    publish(settings, &wide, count, None).await?;
    fan.wait_for(count * FAN, PATIENCE).await;
    let size = settings.size as f64;
    let ms_each = |time: Duration| time.as_secs_f64() * 1_000.0 / size;
    Ok(json!({
        "accepted_per_s": size / accepting.as_secs_f64(),
        "delivered_per_s": size / delivering.as_secs_f64(),
        "cpu_ms_per_message": ms_each(used.program + used.server),
        "cpu_ms_per_message_program": ms_each(used.program),
        "cpu_ms_per_message_database": ms_each(used.server),
        "cpu_ms_per_message_load_and_receiver": ms_each(used.own),
        "p50_ms": at(&delays, 0.5),
        "p99_ms": at(&delays, 0.99),
        "p99_ms_at_1000_per_s": at(&steady, 0.99),
        "fanout_deliveries_per_s": (count * FAN) as f64 / fanning.elapsed().as_secs_f64(),
        "rss_mib": resident,
        "bytes_per_attempt": sizes["bytes_per_attempt"],
        "gib_per_month_at_1000_per_s": sizes["gib_per_month_at_1000_per_s"],
        "lost": lost,
        "duplicated": duplicated,
    }))
}

/// Events a second of the quiet tenant.
const QUIET: f64 = 50.0;

/// The delays of a quiet tenant: alone, beside 700 messages to an endpoint that takes 29 s, and
/// beside a backlog of the given size.
pub async fn run_noisy(settings: &Settings) -> Result<Value, Failure> {
    let operator = sign_in(settings).await?;
    let quiet_sink = Sink::start(Duration::ZERO).await?;
    let quiet = tenant(settings, &operator, "quiet", &[&quiet_sink], 100).await?;
    measure(settings, &quiet, &quiet_sink).await?;
    let alone = measure(settings, &quiet, &quiet_sink).await?;
    let slow_sink = Sink::start(Duration::from_secs(29)).await?;
    let slow = tenant(settings, &operator, "slow", &[&slow_sink], 100).await?;
    publish(settings, &slow, 700, None).await?;
    let beside_slow = measure(settings, &quiet, &quiet_sink).await?;
    let flood_sink = Sink::start(Duration::from_millis(200)).await?;
    let flood = tenant(settings, &operator, "flood", &[&flood_sink], 100).await?;
    publish_many(settings, &flood, settings.size).await?;
    let beside_flood = measure(settings, &quiet, &quiet_sink).await?;
    let worst = beside_slow.max(beside_flood);
    Ok(json!({
        "quiet_p99_ms": alone,
        "quiet_p99_ms_beside_noise": worst,
        "quiet_p99_ms_beside_slow_endpoint": beside_slow,
        "quiet_p99_ms_beside_backlog": beside_flood,
        "ratio": worst / alone,
    }))
}

async fn publish_many(settings: &Settings, to: &Account, count: usize) -> Result<(), Failure> {
    stage::publish_batches(settings, to, count).await
}

async fn measure(settings: &Settings, to: &Account, sink: &Sink) -> Result<f64, Failure> {
    sink.forget();
    let count = QUIET as usize * usize::try_from(settings.seconds)?;
    publish(settings, to, count, Some(QUIET)).await?;
    sink.wait_for(count, PATIENCE).await;
    Ok(at(&sink.forget(), 0.99))
}
