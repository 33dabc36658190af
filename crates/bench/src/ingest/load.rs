//! Room `bench`: drives deliveries over a fixed number of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::stage::{Account, Stage};
use super::wire;
use crate::Failure;
use crate::http::Connection;

struct Shared {
    next: AtomicU64,
    end: u64,
    accounts: Vec<Account>,
    begun: Instant,
    pause: Option<Duration>,
    first: u64,
}

/// Delivers so many webhooks and gives the time each took to be acknowledged. With a rate, each is
/// sent when its time has come, and its time counts from then: a stall is not hidden by waiting.
pub(super) async fn deliver(
    stage: &mut Stage,
    count: usize,
    connections: usize,
    per_s: Option<f64>,
) -> Result<Vec<Duration>, Failure> {
    let first = stage.made;
    stage.made += count as u64;
    let shared = Arc::new(Shared {
        next: AtomicU64::new(first),
        end: stage.made,
        accounts: stage.accounts.clone(),
        begun: Instant::now(),
        pause: per_s.map(|per_s| Duration::from_secs_f64(1.0 / per_s)),
        first,
    });
    let mut drivers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        drivers.spawn(drive(Arc::clone(&shared), stage.api.clone()));
    }
    let mut times = Vec::with_capacity(count);
    while let Some(driven) = drivers.join_next().await {
        times.extend(driven??);
    }
    Ok(times)
}

async fn drive(shared: Arc<Shared>, host: String) -> Result<Vec<Duration>, Failure> {
    let mut connection = Connection::open(&host).await?;
    let mut times = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= shared.end {
            return Ok(times);
        }
        let account = &shared.accounts[number as usize % shared.accounts.len()];
        let delivery = wire::delivery(account, number);
        let due = match shared.pause {
            Some(pause) => {
                let due = shared.begun + pause.mul_f64((number - shared.first) as f64);
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => Instant::now(),
        };
        let headers =
            [("x-hub-signature-256", &*delivery.signature), ("content-type", "application/json")];
        let answer = connection.call(Method::POST, "/hooks/meta", &headers, delivery.body).await?;
        if answer.0 != StatusCode::OK {
            return Err(format!("a webhook was answered {}", answer.0).into());
        }
        times.push(due.elapsed());
    }
}
