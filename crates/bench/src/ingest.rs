//! Room `bench`: signed webhooks in, answers out. The floor is what the same database does when
//! `pgbench` commits single rows durably over as many connections.
//! Load and sandbox are one process, the program is another, as an operator runs it.
//!
//! Everything goes over the real interfaces: tenants, channels and knowledge are made by the API,
//! the webhooks are signed as the provider signs them, the answers are counted where they arrive.

mod line;
mod load;
mod stage;
mod wire;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Failure;
use stage::Stage;

/// For how long half the load is kept up: all of it is answered afterwards.
const SECONDS_AT_HALF: f64 = 5.0;

/// What runs and how hard it is driven.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of the API.
    pub api: String,
    /// `host:port` of the sandbox.
    pub sandbox: String,
    /// The operator's address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// Webhooks of the largest round.
    pub size: usize,
    /// Connections that deliver at once.
    pub connections: usize,
    /// Tenants among which the webhooks are spread.
    pub tenants: usize,
}

/// What one round came to.
struct Round {
    acknowledged_per_s: f64,
    answered_per_s: f64,
    elapsed: Duration,
    lost: u64,
    duplicated: u64,
}

/// Runs three sizes and half the load; `floor` measures commits a second in between, on the same
/// database, with the given number of connections.
pub async fn run<F>(settings: &Settings, floor: F) -> Result<Value, Failure>
where
    F: AsyncFn(usize) -> Result<f64, Failure>,
{
    let mut stage = Stage::set(settings).await?;
    stage.round(settings.size / 20, settings.connections).await?;
    let mut rounds = Vec::new();
    let mut floors = vec![floor(settings.connections).await?];
    for share in [4, 2, 1] {
        rounds.push((
            settings.size / share,
            stage.round(settings.size / share, settings.connections).await?,
        ));
        floors.push(floor(settings.connections).await?);
    }
    floors.sort_by(f64::total_cmp);
    let commits = floors[floors.len() / 2];
    let best = &rounds[rounds.len() - 1].1;
    let rate = best.acknowledged_per_s;
    let p99_ms = stage.p99_at(rate / 2.0, settings.connections).await?;
    Ok(json!({
        "acknowledged_per_s": rate,
        "answered_per_s": best.answered_per_s,
        "pgbench_commits_per_s": commits,
        "ratio": rate / commits,
        "p99_ack_ms_half_load": p99_ms,
        "lost": rounds.iter().map(|(_, round)| round.lost).sum::<u64>(),
        "duplicated": rounds.iter().map(|(_, round)| round.duplicated).sum::<u64>(),
        "growth_exponent": exponent(&rounds),
    }))
}

/// The slope of time over work on logarithmic scales: 1 is linear.
fn exponent(rounds: &[(usize, Round)]) -> f64 {
    let (Some(first), Some(last)) = (rounds.first(), rounds.last()) else { return 0.0 };
    let time = last.1.elapsed.as_secs_f64() / first.1.elapsed.as_secs_f64();
    let work = last.0 as f64 / first.0 as f64;
    time.ln() / work.ln()
}

impl Stage {
    /// Delivers so many webhooks, waits for every answer and looks for lost and doubled ones.
    async fn round(&mut self, count: usize, connections: usize) -> Result<Round, Failure> {
        let before = self.answers().await?;
        let begun = Instant::now();
        let acknowledged = load::deliver(self, count, connections, None).await?;
        let delivering = acknowledged.elapsed;
        let patience = Duration::from_secs(120 + count as u64 / 50);
        let answers = self.wait_for(before + count as u64, patience).await?;
        let elapsed = begun.elapsed();
        let outcome = self.compare(count).await?;
        if answers < before + count as u64 {
            eprintln!("only {} of {count} were answered in time", answers - before);
        }
        Ok(Round {
            acknowledged_per_s: acknowledged.times.len() as f64 / delivering.as_secs_f64(),
            answered_per_s: (answers - before) as f64 / elapsed.as_secs_f64(),
            elapsed,
            lost: outcome.0,
            duplicated: outcome.1,
        })
    }

    /// The slowest of a hundred acknowledgements when webhooks come at a steady rate.
    async fn p99_at(&mut self, per_s: f64, connections: usize) -> Result<f64, Failure> {
        let count = (per_s * SECONDS_AT_HALF) as usize;
        let before = self.answers().await?;
        let mut times = load::deliver(self, count, connections, Some(per_s)).await?.times;
        self.wait_for(before + count as u64, Duration::from_mins(5)).await?;
        times.sort_unstable();
        let at = times.len().saturating_sub(1) * 99 / 100;
        Ok(times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0))
    }
}
