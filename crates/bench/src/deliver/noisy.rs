//! Room `bench`: how long a quiet tenant waits beside one whose receivers are slow, mean harm or
//! are owed a hundred thousand.

use std::time::Duration;

use serde_json::{Value, json};

use super::manner::{HOSTILE, Manner};
use super::sink::Sink;
use super::stage::{self, Account, publish, sign_in, tenant};
use super::{PATIENCE, Settings, at, resident_mib};
use crate::Failure;

/// Events a second of the quiet tenant.
const QUIET: f64 = 50.0;

/// Events a second for receivers that mean harm; each of them gets every one. It does not keep time
/// with the quiet ones.
const HARM: f64 = 23.0;

/// What a receiver gets at once.
const IN_FLIGHT: u32 = 100;

/// How long the receiver of the backlog takes, each time.
const BUSY: Duration = Duration::from_millis(200);

/// The quiet tenant and its neighbours, all there from the beginning: what it takes to make one, a
/// password's hash above all, is not what is measured.
struct Street<'a> {
    settings: &'a Settings,
    quiet: House,
    harm: Account,
    hostile: Vec<Sink>,
    slow: House,
    flood: House,
}

/// Who publishes, and who receives it.
struct House {
    owner: Account,
    receiver: Sink,
}

/// The delays of a quiet tenant: alone, beside receivers that fail, flood, drip and ramble, beside
/// 700 messages to an endpoint that takes 29 s, and beside a backlog of the given size.
pub async fn run_noisy(settings: &Settings) -> Result<Value, Failure> {
    let street = Street::build(settings).await?;
    street.measure().await?;
    let alone = street.measure().await?;
    let harm = street.beside_harm().await?;
    publish(&settings.drive, &street.slow.owner, 700, None).await?;
    let beside_slow = street.measure().await?;
    stage::publish_batches(&street.flood.owner, settings.drive.size).await?;
    let beside_flood = street.measure().await?;
    let worst = beside_slow.max(beside_flood).max(harm.quiet_p99_ms);
    Ok(json!({
        "quiet_p99_ms": alone,
        "quiet_p99_ms_beside_noise": worst,
        "quiet_p99_ms_beside_hostile_receivers": harm.quiet_p99_ms,
        "quiet_p99_ms_beside_slow_endpoint": beside_slow,
        "quiet_p99_ms_beside_backlog": beside_flood,
        "ratio": worst / alone,
        "hostile_answers": harm.answers,
        "hostile_held_s_max": harm.held.as_secs_f64(),
        "rss_mib_before_hostile_receivers": harm.rss_mib_before,
        "rss_mib_beside_hostile_receivers": harm.rss_mib_peak,
    }))
}

/// What receivers that mean harm came to.
struct Harm {
    quiet_p99_ms: f64,
    answers: usize,
    /// The longest that one of them was listened to.
    held: Duration,
    rss_mib_before: f64,
    /// The most of what was seen ten times a second.
    rss_mib_peak: f64,
}

impl<'a> Street<'a> {
    async fn build(settings: &'a Settings) -> Result<Self, Failure> {
        let operator = sign_in(settings).await?;
        let house = async |name, manner| -> Result<House, Failure> {
            let receiver = Sink::start(manner).await?;
            let owner = tenant(settings, &operator, name, &[&receiver], IN_FLIGHT).await?;
            Ok(House { owner, receiver })
        };
        let mut hostile = Vec::with_capacity(HOSTILE.len());
        for manner in HOSTILE {
            hostile.push(Sink::start(manner).await?);
        }
        let receivers: Vec<&Sink> = hostile.iter().collect();
        Ok(Self {
            settings,
            quiet: house("quiet", Manner::PROMPT).await?,
            harm: tenant(settings, &operator, "harm", &receivers, IN_FLIGHT).await?,
            hostile,
            slow: house("slow", Manner::After(Duration::from_secs(29))).await?,
            flood: house("flood", Manner::After(BUSY)).await?,
        })
    }

    /// How long the quiet tenant waits now.
    async fn measure(&self) -> Result<f64, Failure> {
        let House { owner, receiver } = &self.quiet;
        receiver.forget();
        let count = self.events(QUIET)?;
        publish(&self.settings.drive, owner, count, Some(QUIET)).await?;
        receiver.wait_for(count, PATIENCE).await;
        Ok(at(&receiver.forget(), 0.99))
    }

    fn events(&self, per_s: f64) -> Result<usize, Failure> {
        Ok(per_s as usize * usize::try_from(self.settings.seconds)?)
    }

    async fn beside_harm(&self) -> Result<Harm, Failure> {
        let drive = &self.settings.drive;
        let rss_mib_before = resident_mib(drive);
        let harm = publish(drive, &self.harm, self.events(HARM)?, Some(HARM));
        let both = futures_util::future::try_join(harm, self.measure());
        let (quiet_p99_ms, rss_mib_peak) = self.watch(both).await?;
        stage::switch_off(&self.harm).await?;
        let mut held = Duration::ZERO;
        for receiver in &self.hostile {
            held = held.max(receiver.wait_until_left(PATIENCE).await);
        }
        let answers = self.hostile.iter().map(Sink::count).sum();
        Ok(Harm { quiet_p99_ms, answers, held, rss_mib_before, rss_mib_peak })
    }

    /// Works, and looks meanwhile how much memory the program has.
    async fn watch(
        &self,
        work: impl Future<Output = Result<(Vec<String>, f64), Failure>>,
    ) -> Result<(f64, f64), Failure> {
        let mut peak: f64 = 0.0;
        let mut glances = tokio::time::interval(Duration::from_millis(100));
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok((done?.1, peak)),
                _ = glances.tick() => peak = peak.max(resident_mib(&self.settings.drive)),
            }
        }
    }
}
