//! Room `bench`: what it costs a send that the plan counts it: the same sends of two tenants, one
//! counted and one not, by turns on the same connections.
//!
//! Nothing is delivered: no worker runs, and what waits for one is the same for both.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Method;
use misy_core::id::TypedId;
use misy_core::{ConversationId, TenantId};
use misy_store::{Error, Limited, Quota, QuotaError, TenantTx};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::deliver::at;
use crate::http::Connection;
use crate::{Failure, sql};

/// What runs and how hard it is driven.
pub struct Settings {
    /// `host:port` of the API.
    pub api: String,
    /// The operator's address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// The database's administrator.
    pub server: tokio_postgres::Config,
    /// Told for whom the program counts nothing.
    pub turnstile: Arc<Turnstile>,
    /// Sends of each of the two.
    pub size: usize,
}

/// The program's way of counting, which lets one tenant by.
pub struct Turnstile {
    counts: Arc<dyn Quota>,
    by: OnceLock<TenantId>,
}

impl Turnstile {
    /// Counts for everybody until it is told for whom not.
    pub fn new(counts: Arc<dyn Quota>) -> Self {
        Self { counts, by: OnceLock::new() }
    }

    fn lets_by(&self, tx: &TenantTx) -> bool {
        self.by.get().is_some_and(|tenant| *tenant == tx.ctx().tenant())
    }
}

#[async_trait]
impl Quota for Turnstile {
    async fn take(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
        if self.lets_by(tx) { Ok(()) } else { self.counts.take(tx, what, count).await }
    }

    fn take_behind(&self, tx: &mut TenantTx, what: Limited, count: u32) {
        if !self.lets_by(tx) {
            self.counts.take_behind(tx, what, count);
        }
    }

    async fn settle(&self, tx: &mut TenantTx, what: Limited, count: u32) -> Result<(), QuotaError> {
        if self.lets_by(tx) { Ok(()) } else { self.counts.settle(tx, what, count).await }
    }

    async fn ceiling(&self, tx: &mut TenantTx, what: Limited) -> Result<Option<i64>, Error> {
        self.counts.ceiling(tx, what).await
    }
}

/// Conversations of each tenant, so that no row of one is what is waited for.
const CONVERSATIONS: i64 = 64;

/// Connections that send at once.
const AT_ONCE: usize = 4;

/// Sends before anything is measured: connections are open then and statements are prepared.
const WARM_UP: usize = 200;

const SEED: &str = "
    with made as (
        insert into contacts (tenant_id, id, display_name)
        select $1::uuid, ('00000000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid,
            'somebody'
        from generate_series(0, $3::bigint - 1) number returning id),
    named as (
        insert into contact_identities (tenant_id, id, contact_id, namespace, value)
        select $1::uuid, id, id, 'wa', id::text from made)
    insert into conversations (tenant_id, id, contact_id, channel_id, last_inbound_at)
    select $1::uuid, id, id, $2::uuid, now() from made";

/// One of the two.
struct Side {
    bearer: String,
}

/// Sends by turns and compares.
pub async fn run(settings: &Settings) -> Result<Value, Failure> {
    let mut api = Connection::open(&settings.api).await?;
    let operator = api.sign_in(&settings.email, &settings.password).await?;
    let counted = side(settings, &mut api, &operator, "counted").await?;
    let free = side(settings, &mut api, &operator, "free").await?;
    settings.turnstile.by.get_or_init(|| free.0);
    sends(settings, [&counted.1, &free.1], WARM_UP).await?;
    let [counted_ms, free_ms] = sends(settings, [&counted.1, &free.1], settings.size).await?;
    let tenant = counted.0.uuid();
    let used = sql::with(&settings.server, async |client| {
        let sum = "select coalesce(sum(used), 0)::int8 from quota_slots where tenant_id = $1";
        Ok(client.query_one(sum, &[&tenant]).await?.get::<_, i64>(0))
    });
    let wanted = i64::try_from(settings.size + WARM_UP)?;
    let miscounted = used.await? - wanted;
    let (half, floor) = (at(&counted_ms, 0.5), at(&free_ms, 0.5));
    let (mean, mean_floor) = (mean_ms(&counted_ms), mean_ms(&free_ms));
    Ok(json!({
        "send_ms_counted": half,
        "send_ms_uncounted": floor,
        "counting_overhead_pct": (half / floor - 1.0) * 100.0,
        "counting_overhead_pct_of_mean": (mean / mean_floor - 1.0) * 100.0,
        "p99_ms_counted": at(&counted_ms, 0.99),
        "p99_ms_uncounted": at(&free_ms, 0.99),
        "miscounted": miscounted,
    }))
}

fn mean_ms(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() * 1e3 / times.len().max(1) as f64
}

/// A tenant with a limit that it does not reach, a channel and customers who have just written.
async fn side(
    settings: &Settings,
    api: &mut Connection,
    operator: &str,
    slug: &str,
) -> Result<(TenantId, Side), Failure> {
    let (email, password) = (format!("owner@{slug}.example"), format!("bench-{slug}-Passw0rd!"));
    let owner = json!({ "email": email, "name": "Owner", "password": password });
    let new = json!({ "slug": slug, "name": slug, "owner": owner, "plan": "unlimited" });
    let made = api.json(Method::POST, "/v1/tenants", Some(operator), &new).await?;
    let tenant: TenantId = made["id"].as_str().ok_or("no id")?.parse()?;
    let path = format!("/v1/tenants/{tenant}/quotas");
    let limit = json!({ "overrides": { "messages_per_month": 1_000_000_000 } });
    api.json(Method::PUT, &path, Some(operator), &limit).await?;
    let bearer = api.sign_in(&email, &password).await?;
    let channel = json!({
        "kind": "whatsapp", "name": "Load", "external_id": format!("10000000000{}", slug.len()),
        "credentials": { "access_token": "a", "app_secret": "s", "verify_token": "v" },
        "settings": { "api_host": "http://127.0.0.1:9" },
    });
    let channel = api.json(Method::POST, "/v1/channels", Some(&bearer), &channel).await?;
    let channel: misy_core::ChannelId = channel["id"].as_str().ok_or("no id")?.parse()?;
    let (id, channel) = (tenant.uuid(), channel.uuid());
    let seeded = async |client: &tokio_postgres::Client| {
        Ok(client.execute(SEED, &[&id, &channel, &CONVERSATIONS]).await?)
    };
    sql::with(&settings.server, seeded).await?;
    sql::run(&settings.server, "analyze conversations, contacts").await?;
    Ok((tenant, Side { bearer }))
}

/// How long each send took, of the one side and of the other.
async fn sends(
    settings: &Settings,
    sides: [&Side; 2],
    size: usize,
) -> Result<[Vec<Duration>; 2], Failure> {
    let some = async |first: usize| -> Result<[Vec<Duration>; 2], Failure> {
        let mut api = Connection::open(&settings.api).await?;
        let mut times = [Vec::new(), Vec::new()];
        for number in (first..size).step_by(AT_ONCE) {
            // Who is first has warmer caches, so it is each by turns.
            let order = if (number / AT_ONCE).is_multiple_of(2) { [0, 1] } else { [1, 0] };
            for side in order {
                times[side].push(send(&mut api, sides[side], number).await?);
            }
        }
        Ok(times)
    };
    let mut all = [Vec::new(), Vec::new()];
    for times in try_join_all((0..AT_ONCE).map(some)).await? {
        for (sum, one) in all.iter_mut().zip(times) {
            sum.extend(one);
        }
    }
    Ok(all)
}

async fn send(api: &mut Connection, side: &Side, number: usize) -> Result<Duration, Failure> {
    let place = number as u128 % u128::from(CONVERSATIONS.unsigned_abs());
    let id = Uuid::from_u128(0x7000_8000_0000_0000_0000 | place);
    let path = format!("/v1/conversations/{}/messages", ConversationId::from_uuid(id));
    let body = json!({ "content": { "type": "text", "text": format!("Message {number}") } });
    let body = Bytes::from(serde_json::to_vec(&body)?);
    let authorization = format!("Bearer {}", side.bearer);
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    let begun = Instant::now();
    let (status, answer) = api.call(Method::POST, &path, &headers, body).await?;
    if status.is_success() {
        return Ok(begun.elapsed());
    }
    Err(format!("a send was answered {status}: {}", String::from_utf8_lossy(&answer)).into())
}
