//! Room `bench`: the cache in Redis. What a tenant's identity costs a pipeline over the raw client
//! on the same server, and whether a tenant's user reaches a key of another by any command.

use std::time::{Duration, Instant};

use misy_core::crypto::Key;
use misy_core::{Ambient, Grants, PlatformCtx, TenantId};
use misy_store::cache::CachePasswords;
use misy_store::cache::attack::Attack;
use misy_store::cache::private::PrivateRedis;
use misy_store::{Cache, CacheConfig, Space, TenantCache};
use redis::Value;
use redis::aio::MultiplexedConnection;
use serde_json::json;

use crate::{Failure, Report};

/// What is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Clock and randomness.
    pub ambient: Ambient,
    /// Where the tenants' passwords come from.
    pub root: Key,
    /// Who runs it.
    pub ctx: PlatformCtx,
    /// Rounds; in each, both sides have their turn.
    pub rounds: usize,
}

/// Pipelines of one turn.
const TURN: u32 = 250;
/// Bytes of the value that is read.
const VALUE_BYTES: usize = 100;
const SPACE: Space = Space::new("bench");
const KEY: &str = "key";

/// Runs the bench on a Redis that has nothing else to do.
pub async fn run(settings: &Settings, server: &PrivateRedis) -> Result<Report, Failure> {
    let config = CacheConfig { url: Some(server.url()), connections: 1, ..CacheConfig::default() };
    let cache = Cache::open(&config, &settings.root, settings.ambient.clone()).await?;
    let [attacker, attacked] = [0; 2].map(|_| settings.ambient.id::<TenantId>());
    let handle = cache.of(&settings.ctx.enter(attacked, Grants::NONE));
    handle.put(SPACE, KEY, vec![7; VALUE_BYTES], Duration::from_hours(1)).await?;
    let mut raw = Raw::new(server).await?;
    let (mut without, mut with, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..settings.rounds.max(2) {
        let (one, other) = if round % 2 == 0 {
            let one = raw.turn().await?;
            (one, turn(&handle).await?)
        } else {
            let other = turn(&handle).await?;
            (raw.turn().await?, other)
        };
        without.push(one);
        with.push(other);
        more.push(other - one);
    }
    let passwords = CachePasswords::derive(&settings.root);
    let attack = Attack { attacker, attacked, passwords, rules: None, enough: None };
    let found = attack.run(server, &settings.ambient).await?;
    Ok(Report::new(
        "cache",
        json!({
            "rounds": settings.rounds, "pipelines_each": TURN, "value_bytes": VALUE_BYTES,
            "raw_us": median(without), "handle_us": median(with),
            "commands_tried": found.commands, "calls_tried": found.calls,
        }),
        json!({ "overhead_us": median(more), "foreign_keys_reached": found.reached.len() }),
    ))
}

/// The client that the handle is made of, signed in once, reading the same value.
struct Raw {
    connection: MultiplexedConnection,
    key: String,
}

impl Raw {
    async fn new(server: &PrivateRedis) -> Result<Self, Failure> {
        let client = redis::Client::open(server.warden_url().expose())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let key = "raw".to_owned();
        redis::cmd("SET")
            .arg(&key)
            .arg(&[7_u8; VALUE_BYTES][..])
            .exec_async(&mut connection)
            .await?;
        Ok(Self { connection, key })
    }

    /// Microseconds a pipeline.
    async fn turn(&mut self) -> Result<f64, Failure> {
        let begun = Instant::now();
        for _ in 0..TURN {
            let mut pipeline = redis::pipe();
            pipeline.cmd("GET").arg(&self.key);
            let found = self.connection.send_packed_commands(&pipeline, 0, 1).await?;
            if !matches!(&found[..], [Value::BulkString(bytes)] if bytes.len() == VALUE_BYTES) {
                return Err("the raw client did not find the value".into());
            }
        }
        Ok(each_us(begun))
    }
}

async fn turn(handle: &TenantCache) -> Result<f64, Failure> {
    let begun = Instant::now();
    for _ in 0..TURN {
        let found = handle.get(SPACE, KEY).await?;
        if found.is_none_or(|bytes| bytes.len() != VALUE_BYTES) {
            return Err("the handle did not find the value".into());
        }
    }
    Ok(each_us(begun))
}

fn each_us(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(TURN)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use misy_testkit::{TestRedis, platform_ctx};

    use super::*;

    #[tokio::test]
    async fn two_figures_come_out_and_no_foreign_key_was_reached() {
        let redis = TestRedis::start().await;
        let ambient = misy_testkit::wall_ambient(3);
        let settings =
            Settings { ambient, root: Key::new([7; 32]), ctx: platform_ctx(), rounds: 2 };
        let report = run(&settings, &redis).await.expect("it runs");
        let names: Vec<_> = report.metrics.keys().map(String::as_str).collect();
        assert_eq!(names, ["overhead_us", "foreign_keys_reached"]);
        assert_eq!(report.metrics["foreign_keys_reached"], 0);
        assert!(report.metrics["overhead_us"].as_f64().is_some_and(f64::is_finite));
        assert!(report.settings["commands_tried"].as_u64() > Some(350), "{}", report.settings);
    }
}
