//! Room `bench`: a thousand wrong passwords at once, and how long other people wait meanwhile,
//! beside how long they wait when nothing else happens.
//!
//! Wave after wave, each on connections of its own that are open before, half of them for an
//! address that is known and half for one that is not. Nobody is told to slow down before a
//! password is hashed: what is measured is the bound on hashing. Load and program share a process
//! and its cores, but no runtime: the others' clock must not wait for the storm's own work.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Failure;
use crate::apart::step_back;
use crate::deliver::at;
use crate::http::Connection;

/// What runs and how hard it is driven.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `host:port` of the API.
    pub api: String,
    /// The operator's address.
    pub email: String,
    /// The operator's password.
    pub password: String,
    /// Wrong passwords at once.
    pub size: usize,
    /// Seconds of one round, of which there are five alone and five in the storm.
    pub seconds: u64,
}

/// Requests a second of the others: a load that the machine hardly notices.
const OTHERS_PER_S: f64 = 100.0;

/// Connections of the others.
const OTHERS: usize = 8;

/// Rounds alone, and as many in the storm in between: a hiccup of the machine is in one of them.
const ROUNDS: usize = 5;

/// How long nothing counts: in its first half minute the program hashes more eagerly, and its
/// statements are not prepared on every connection yet.
const SETTLED: Duration = Duration::from_secs(31);

/// How a thread of the load stands to everything else on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// As everybody.
    Usual,
    /// Runs when nothing else wants to (`SCHED_IDLE`, sched(7)). Those who guess have machines of
    /// their own in life: what it costs to make their requests is not to be measured.
    Behind,
}

/// What a wave came to, by status.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    hashed: u64,
    turned_away: u64,
    anything_else: u64,
}

impl Tally {
    fn and(self, more: Self) -> Self {
        Self {
            hashed: self.hashed + more.hashed,
            turned_away: self.turned_away + more.turned_away,
            anything_else: self.anything_else + more.anything_else,
        }
    }

    fn add(&mut self, status: StatusCode) {
        let counter = match status {
            StatusCode::UNAUTHORIZED => &mut self.hashed,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                &mut self.turned_away
            }
            _ => &mut self.anything_else,
        };
        *counter += 1;
    }
}

/// Measures the others alone and in the storm, by turns.
pub async fn run(settings: &Settings) -> Result<Value, Failure> {
    let (email, bearer) = account(settings).await?;
    let measured = || {
        let (settings, bearer) = (settings.clone(), bearer.clone());
        apart(Standing::Usual, async move || others(&settings, &bearer).await)
    };
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        measured().await?;
    }
    let (mut alone, mut beside, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    for _ in 0..ROUNDS {
        alone.push(measured().await?);
        let (load, email) = (settings.clone(), email.clone());
        let storm = apart(Standing::Behind, async move || storm(&load, &email).await);
        let (hit, times) = futures_util::future::try_join(storm, measured()).await?;
        tally = tally.and(hit);
        beside.push(times);
    }
    let (before, during) = (median_at(&alone, 0.99), median_at(&beside, 0.99));
    Ok(json!({
        "p50_ms_alone": median_at(&alone, 0.5),
        "p50_ms_in_the_storm": median_at(&beside, 0.5),
        "p99_ms_alone": before,
        "p99_ms_in_the_storm": during,
        "ratio": during / before,
        "others_answered": beside.iter().map(Vec::len).sum::<usize>(),
        "wrong_passwords": tally.hashed + tally.turned_away + tally.anything_else,
        "hashed": tally.hashed,
        "turned_away": tally.turned_away,
        "answered_otherwise": tally.anything_else,
    }))
}

/// The median round's time at a share, in milliseconds.
fn median_at(rounds: &[Vec<Duration>], share: f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(|times| at(times, share)).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Works on a thread with a runtime of its own.
async fn apart<T: Send + 'static>(
    standing: Standing,
    work: impl AsyncFnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let first = move || if standing == Standing::Behind { step_back() } else { Ok(()) };
    crate::apart::run(first, work).await
}

/// A tenant; its owner's address and access token.
async fn account(settings: &Settings) -> Result<(String, String), Failure> {
    let mut api = Connection::open(&settings.api).await?;
    let operator = api.sign_in(&settings.email, &settings.password).await?;
    let (slug, password) = ("storm", "bench-Passw0rd-of-a-storm!");
    let email = format!("owner@{slug}.example");
    let owner = json!({ "email": email, "name": "Owner", "password": password });
    let new = json!({ "slug": slug, "name": slug, "owner": owner, "plan": "unlimited" });
    api.json(Method::POST, "/v1/tenants", Some(&operator), &new).await?;
    let bearer = api.sign_in(&email, password).await?;
    Ok((email, bearer))
}

/// How long people are listed, again and again at a fixed rate, counted from when it was due.
async fn others(settings: &Settings, bearer: &str) -> Result<Vec<Duration>, Failure> {
    let count = (settings.seconds as f64 * OTHERS_PER_S) as usize;
    let (begun, pause) = (Instant::now(), Duration::from_secs_f64(1.0 / OTHERS_PER_S));
    let authorization = format!("Bearer {bearer}");
    let some = async |first: usize| -> Result<Vec<Duration>, Failure> {
        let mut api = Connection::open(&settings.api).await?;
        let headers = [("authorization", authorization.as_str())];
        let mut times = Vec::new();
        for number in (first..count).step_by(OTHERS) {
            let due = begun + pause.mul_f64(number as f64);
            tokio::time::sleep_until(due.into()).await;
            let answer = api.call(Method::GET, "/v1/users", &headers, Bytes::new()).await?;
            if answer.0 != StatusCode::OK {
                return Err(format!("one of the others was answered {}", answer.0).into());
            }
            times.push(due.elapsed());
        }
        Ok(times)
    };
    Ok(try_join_all((0..OTHERS).map(some)).await?.concat())
}

/// Waves, one after the other is answered, for as long as is measured.
async fn storm(settings: &Settings, email: &str) -> Result<Tally, Failure> {
    let opened = (0..settings.size).map(|_| Connection::open(&settings.api));
    let mut connections = try_join_all(opened).await?;
    let (begun, mut tally) = (Instant::now(), Tally::default());
    let mut wave = 0;
    while begun.elapsed() < Duration::from_secs(settings.seconds) {
        wave += 1;
        let tries = connections.iter_mut().enumerate().map(async |(number, connection)| {
            let known = number % 2 == 0;
            let email = if known { email.to_owned() } else { format!("{number}@nobody.example") };
            let body = json!({ "email": email, "password": format!("wrong {wave} {number}") });
            let body = Bytes::from(serde_json::to_vec(&body)?);
            let headers = [("content-type", "application/json")];
            let answer = connection.call(Method::POST, "/v1/auth/login", &headers, body).await?;
            Ok::<_, Failure>(answer.0)
        });
        for status in try_join_all(tries).await? {
            tally.add(status);
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_hashed_is_told_from_what_was_turned_away() {
        let mut tally = Tally::default();
        for status in [401, 401, 503, 429, 200, 500] {
            tally.add(StatusCode::from_u16(status).expect("a status"));
        }
        assert_eq!(tally, Tally { hashed: 2, turned_away: 2, anything_else: 2 });
    }
}
