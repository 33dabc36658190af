//! Room `bench`: what row-level security costs. The same statements over the same driver in the
//! same shape on the same rows, by the tenant's role and by one that no policy binds, turn by turn;
//! on as many rows as a large installation has.
//!
//! Each kind of work is measured twice: one turn after the other, each side in turn, on processors
//! that are kept awake, which is what somebody waits; and four at once, which is what the server's
//! processors work (`busy`).
//!
//! Both sides use the same connections, and each its own text of a statement: switching the
//! policies off in between, or one text for both, would have the server plan anew, and connections
//! of their own would show how connections differ.
//!
//! A second floor shows what a tenant costs in all: a role that no policy binds, whose transactions
//! are begun and committed like ours and in the same flight, but without `SET LOCAL misy.tenant`.
//! The tenant is the statement's own parameter everywhere.

pub mod plans;
mod proxy;
pub mod rows;
mod stage;
pub mod statements;
mod turns;

use std::time::Duration;

use misy_core::{Ambient, PlatformCtx};
use misy_store::{DbRole, RolePasswords};
use serde_json::json;
use tokio_postgres::{Client, Config, NoTls};

use crate::{Failure, Report, apart, sql};
use plans::{Comparison, Planners};
use stage::Stage;

/// What is run, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The way in for the superuser of a server of the bench's own: for the floor a role of the
    /// whole server is let around the policies.
    pub server: Config,
    /// The passwords that the program's roles have there.
    pub passwords: RolePasswords,
    /// Clock and randomness.
    pub ambient: Ambient,
    /// On whose behalf tenants are entered.
    pub ctx: PlatformCtx,
    /// Messages, of all tenants together.
    pub size: usize,
    /// Tenants.
    pub tenants: usize,
    /// How long each kind of work is measured.
    pub seconds: u64,
}

const DATABASE: &str = "misy_bench_rls";

/// How long the proxy holds each answer back.
const DELAY: Duration = Duration::from_millis(5);

/// Runs the bench in a database of its own, which it removes.
pub async fn run(settings: &Settings) -> Result<Report, Failure> {
    let settings = settings.clone();
    apart::run(|| Ok(()), async move || run_here(&settings).await).await
}

async fn run_here(settings: &Settings) -> Result<Report, Failure> {
    let mut server = settings.server.clone();
    sql::run(&server, &format!("drop database if exists {DATABASE} with (force)")).await?;
    sql::run(&server, &format!("create database {DATABASE}")).await?;
    server.dbname(DATABASE);
    let report = measure(settings, &server).await;
    sql::run(&settings.server, &format!("drop database {DATABASE} with (force)")).await?;
    report
}

async fn measure(settings: &Settings, server: &Config) -> Result<Report, Failure> {
    let mut stage = Stage::set(settings, server).await?;
    let mut reads = Vec::new();
    for size in [settings.size / 4, settings.size / 2, settings.size] {
        stage.grow(size).await?;
        reads.push((size, turns::read_time(&stage, settings.seconds).await?));
    }
    stage.index_words().await?;
    let kinds = turns::kinds(&stage, settings.seconds).await?;
    let searches = turns::searches(&stage, settings.seconds).await?;
    let trips = turns::round_trips(settings, server, &stage, DELAY).await?;
    let compared = compare_plans(settings, server).await?;
    let changed = compared.differences.len() + compared.failed.len();
    let slowest =
        searches.iter().max_by(|one, other| one.policies_ms.total_cmp(&other.policies_ms));
    let slowest = slowest.ok_or("nothing was searched for")?;
    let mut metrics = json!({
        "fulltext_ms": slowest.policies_ms,
        "fulltext_floor_ms": slowest.floor_ms,
        "round_trips_per_read": trips,
        "plans_changed": changed,
        "plans_compared": compared.of_tenants.len() + compared.of_platform.len(),
        "growth_exponent": exponent(&reads),
    });
    for (name, one) in &kinds {
        metrics[format!("{name}_overhead_pct")] = one.overhead_pct.into();
        metrics[format!("{name}_with_context_pct")] = one.with_context_pct.into();
        metrics[format!("{name}_us")] = (one.policies * 1e3).into();
        metrics[format!("{name}_off_us")] = (one.off * 1e3).into();
        metrics[format!("{name}_bare_us")] = (one.bare * 1e3).into();
    }
    for search in &searches {
        metrics[format!("fulltext_{}_ms", search.name)] = search.policies_ms.into();
        metrics[format!("fulltext_{}_floor_ms", search.name)] = search.floor_ms.into();
    }
    let settings = json!({
        "size": settings.size, "tenants": settings.tenants, "seconds": settings.seconds,
        "largest_tenant": stage.largest(), "synchronous_commit": "off",
    });
    Ok(Report::new("rls", settings, metrics))
}

/// Compares the plans of every statement of the application on these rows.
async fn compare_plans(settings: &Settings, server: &Config) -> Result<Comparison, Failure> {
    let role = |role: DbRole| {
        let mut config = server.clone();
        config.user(role.name()).password(settings.passwords.of(role).expose());
        config
    };
    let tenant = connect(&role(DbRole::Tenant)).await?;
    let platform = connect(&role(DbRole::Platform)).await?;
    let superuser = connect(server).await?;
    let planners = Planners { tenant: &tenant, platform: &platform, superuser: &superuser };
    let compared = plans::compare(&planners, &statements::all(), rows::tenant(2)).await?;
    for one in &compared.differences {
        let (with, without) = (&one.with_policies, &one.without);
        eprintln!("{} ({})\nwith policies:\n{with}without:\n{without}", one.statement, one.mode);
    }
    for one in &compared.failed {
        eprintln!("not planned: {one}");
    }
    Ok(compared)
}

/// The slope of time over rows on logarithmic scales: 0 is independent of them, 1 is linear.
fn exponent(reads: &[(usize, f64)]) -> f64 {
    let (Some(first), Some(last)) = (reads.first(), reads.last()) else { return 0.0 };
    (last.1 / first.1).ln() / (last.0 as f64 / first.0 as f64).ln()
}

/// A connection outside the pools that lives as long as its client.
pub async fn connect(server: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = server.connect(NoTls).await?;
    // It ends by itself when the client is dropped; an error then reaches the client's next call.
    drop(tokio::spawn(async move { connection.await.unwrap_or_default() }));
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_tells_growth_from_its_absence() {
        assert!(exponent(&[(1, 2.0), (2, 2.0), (4, 2.0)]).abs() < 1e-9);
        assert!((exponent(&[(1, 2.0), (2, 4.0), (4, 8.0)]) - 1.0).abs() < 1e-9);
    }
}
