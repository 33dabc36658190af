//! Room `bench`: drives deliveries over a fixed number of connections.
//!
//! Requests are made and signed before the clock runs, and those who send them have a thread of
//! their own: like `pgbench` beside it, the load should cost as little of the machine as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::line::Line;
use super::stage::Stage;
use super::wire;
use crate::{Failure, apart};

struct Shared {
    requests: Vec<Bytes>,
    next: AtomicUsize,
    begun: Instant,
    pause: Option<Duration>,
}

/// What became of a load.
pub(super) struct Acknowledged {
    /// The time each took, in no order.
    pub(super) times: Vec<Duration>,
    /// From the first that was sent to the last answer.
    pub(super) elapsed: Duration,
}

/// Delivers so many webhooks. With a rate, each is sent when its time has come, and its time counts
/// from then: a stall is not hidden by waiting.
pub(super) async fn deliver(
    stage: &mut Stage,
    count: usize,
    connections: usize,
    per_s: Option<f64>,
) -> Result<Acknowledged, Failure> {
    let first = stage.made;
    stage.made += count as u64;
    let request = |number| {
        let account = &stage.accounts[number as usize % stage.accounts.len()];
        wire::request(&stage.api, account, number)
    };
    let requests = (first..stage.made).map(request).collect();
    let host = stage.api.clone();
    apart::run(|| Ok(()), async move || send(requests, &host, connections, per_s).await).await
}

async fn send(
    requests: Vec<Bytes>,
    host: &str,
    connections: usize,
    per_s: Option<f64>,
) -> Result<Acknowledged, Failure> {
    let mut lines = Vec::new();
    for _ in 0..connections {
        lines.push(Line::open(host).await?);
    }
    let pause = per_s.map(|per_s| Duration::from_secs_f64(1.0 / per_s));
    let mut times = Vec::with_capacity(requests.len());
    let begun = Instant::now();
    let shared = Arc::new(Shared { requests, next: AtomicUsize::new(0), begun, pause });
    let mut drivers = JoinSet::new();
    for line in lines {
        drivers.spawn(drive(Arc::clone(&shared), line));
    }
    while let Some(driven) = drivers.join_next().await {
        times.extend(driven??);
    }
    Ok(Acknowledged { times, elapsed: begun.elapsed() })
}

async fn drive(shared: Arc<Shared>, mut line: Line) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = shared.requests.get(number) else { return Ok(times) };
        let due = match shared.pause {
            Some(pause) => {
                let due = shared.begun + pause.mul_f64(number as f64);
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => Instant::now(),
        };
        let status = line.exchange(request).await?;
        if status != 200 {
            return Err(format!("a webhook was answered {status}").into());
        }
        times.push(due.elapsed());
    }
}
