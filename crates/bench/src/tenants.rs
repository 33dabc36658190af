//! Room `bench`: many tenants. How fast they are provisioned, what one that does nothing costs in
//! memory, whether reading among ten thousand takes longer than reading among one, and how long an
//! operator waits who lists them or looks for one.
//!
//! All are provisioned by the API, with all that a tenant gets, and then given a key and twenty
//! contacts. A read is a request: twenty contacts, by the tenant's own key. The `store_` figures
//! leave the API out: ask whether the tenant is active, then read twenty contacts in one round
//! trip.
//!
//! Ten thousand tenants are compared with one that reads the same twenty again and again (`ratio`).
//! How much of that is the processor's caches, and not the tenants, tells one that has as many
//! contacts as all of them and reads twenty anywhere among them: the same rows and pages, only of
//! one owner (`same_rows`).

mod lookups;
mod reads;
mod stage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http::Method;
use misy_core::crypto::{sha256, to_hex};
use misy_core::{ApiKeyId, PlatformCtx, Secret};
use misy_jobs::Tenants;
use misy_store::Db;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Failure;
use crate::dice::Dice;
use crate::http::Connection;
use reads::{Road, Whose};
use stage::People;

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
    /// The text of an API key of this id and secret.
    pub key_text: fn(ApiKeyId, [u8; 32]) -> Secret,
    /// Tenants that are provisioned, and among which is read.
    pub size: usize,
}

/// Who reads and who provisions at once.
const AT_ONCE: usize = 4;

/// Runs all of it.
pub async fn run(settings: &Settings) -> Result<Value, Failure> {
    let provisioned_per_s = provision(settings).await?;
    let people = stage::furnish(settings).await?;
    let bytes = bytes_per_idle_tenant(settings, &people).await?;
    let ids: Vec<Uuid> = people.small.iter().map(|one| one.tenant).collect();
    let mut figures = json!({
        "provisioned_per_s": provisioned_per_s,
        "bytes_per_idle_tenant": bytes,
    });
    let served = reads::measure(settings, &people).await?;
    let lookups = lookups::measure(settings, &ids).await?;
    for more in [served, lookups] {
        if let (Value::Object(figures), Value::Object(more)) = (&mut figures, more) {
            figures.extend(more);
        }
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
async fn bytes_per_idle_tenant(settings: &Settings, people: &People) -> Result<f64, Failure> {
    let few = Whose::Any(&people.small[..people.small.len().min(8)]);
    reads::times(settings, Road::Api, few, 0).await?;
    let before = resident_bytes()?;
    reads::each_once(settings, &people.small).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = resident_bytes()?.saturating_sub(before);
    Ok(more as f64 / people.small.len() as f64)
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

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
