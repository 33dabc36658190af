//! Room `jobs`: what a job is and how it ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use misy_core::{Code, Ctx, JobId, PlatformCtx, Public, Timestamp};
use misy_store::{JobRow, PlatformTx, TenantTx};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope;

/// A payload names what a job works on and never carries it: more than this many bytes of JSON is
/// content. The database refuses it too, at the commit.
pub const PAYLOAD_LIMIT_BYTES: usize = 2048;

/// How long a job is put off whose tenant was stopped while it ran.
const STOPPED: Duration = Duration::from_secs(20);

/// How long a lane's name may be, in bytes.
pub const LANE_LIMIT_BYTES: usize = 200;

/// How often and when a failed job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The pause after the first attempt; it doubles with each further one.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Retry {
    /// Twelve attempts over about three hours: 2 s, 4 s, 8 s ... at most an hour apart.
    pub const DEFAULT: Self =
        Self { attempts: 12, first: Duration::from_secs(2), longest: Duration::from_hours(1) };

    /// One attempt only.
    pub const NEVER: Self =
        Self { attempts: 1, first: Duration::from_secs(1), longest: Duration::from_secs(1) };

    /// The pause after the given number of attempts, spread over +-20 % by `jitter`, a number from
    /// the whole range of `u32`, so that what failed together is not retried together.
    pub fn pause(&self, attempts: u32, jitter: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        let spread = 0.8 + 0.4 * f64::from(jitter) / f64::from(u32::MAX);
        pause.mul_f64(spread)
    }
}

/// Why a job did not succeed, which is also what happens next. Whatever is printed of `source`
/// reaches logs and the dead letter, so an error's text must hold no content.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Try again: counts an attempt, and after the last one the job is buried.
    #[error("the attempt failed")]
    Retry {
        /// How long to wait at least, if the other side has said so.
        after: Option<Duration>,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Not now: counts no attempt. A rate limit, an open breaker, a closed window.
    #[error("parked until {until}")]
    Park {
        /// When to try again.
        until: Timestamp,
    },
    /// Never: buried at once.
    #[error("the job is impossible")]
    Fail(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl JobError {
    /// Tries again with the job's own pauses.
    pub fn retry(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry { after: None, source: source.into() }
    }

    /// Gives up.
    pub fn fail(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fail(source.into())
    }
}

impl<E: Public> From<E> for JobError {
    /// What the server or a limit is to blame for is tried again; what is wrong with the request
    /// itself will stay wrong.
    fn from(error: E) -> Self {
        let status = error.code().status();
        if error.code() == Code::TenantInactive {
            // It began just before its tenant was stopped; the next look parks it until then.
            return Self::Retry { after: Some(STOPPED), source: Box::new(error) };
        }
        if status < 500 && status != 429 && status != 409 {
            return Self::Fail(Box::new(error));
        }
        let after = error.retry_after_s().map(|seconds| Duration::from_secs(seconds.into()));
        Self::Retry { after, source: Box::new(error) }
    }
}

/// Something to be done inside one tenant, later and on behalf of whoever caused it. It may run
/// more than once (a crash after its work, before its completion), so it must be idempotent.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its stable name, for example `conversation.messages.deliver`.
    const NAME: &'static str;
    /// How often and when it is tried again.
    const RETRY: Retry = Retry::DEFAULT;
    /// How long one attempt may take; after that it is stopped and counts as failed.
    const LIMIT: Duration = Duration::from_mins(10);
    /// What it needs to run, handed to [`crate::Registry::register`].
    type Deps: Send + Sync + 'static;

    /// Jobs of one tenant with the same lane run strictly one after another in the order of their
    /// ids, also across retries and parking. A job that gives up frees its lane.
    fn lane(&self) -> Option<String> {
        None
    }

    /// Does it.
    fn run(
        self,
        ctx: Ctx,
        deps: Arc<Self::Deps>,
    ) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Puts it into the queue when the transaction is committed.
    fn enqueue(&self, tx: &mut TenantTx) -> JobId {
        let row = tenant_row(self, tx.ctx(), tx.ambient().id(), None);
        let id = row.id;
        tx.push_job(row);
        id
    }

    /// The same, not to run before `at`. In a lane it holds up those behind it until then.
    fn enqueue_at(&self, tx: &mut TenantTx, at: Timestamp) -> JobId {
        let row = tenant_row(self, tx.ctx(), tx.ambient().id(), Some(at));
        let id = row.id;
        tx.push_job(row);
        id
    }

    /// The same, from a transaction across tenants, for the tenant and on behalf of `ctx`.
    fn enqueue_across(&self, tx: &mut PlatformTx, ctx: &Ctx) -> JobId {
        let row = tenant_row(self, ctx, tx.ambient().id(), None);
        let id = row.id;
        tx.push_job(Some(ctx.tenant()), row);
        id
    }

    /// The same, unless its lane has one already that nobody has claimed yet. What that one is to
    /// see must have been committed before this transaction began.
    fn announce(&self, tx: &mut PlatformTx, ctx: &Ctx) {
        let row = tenant_row(self, ctx, tx.ambient().id(), None);
        tx.announce_job(ctx.tenant(), row);
    }
}

/// Something to be done across tenants: a sweep, a schedule, a provisioning step.
pub trait PlatformJob: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its stable name, for example `tenancy.tenants.provision`.
    const NAME: &'static str;
    /// How often and when it is tried again.
    const RETRY: Retry = Retry::DEFAULT;
    /// How long one attempt may take; after that it is stopped and counts as failed.
    const LIMIT: Duration = Duration::from_mins(10);
    /// What it needs to run, handed to [`crate::Registry::register_platform`].
    type Deps: Send + Sync + 'static;

    /// Platform jobs with the same lane run one after another, as those of a tenant do.
    fn lane(&self) -> Option<String> {
        None
    }

    /// Does it.
    fn run(
        self,
        ctx: PlatformCtx,
        deps: Arc<Self::Deps>,
    ) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Puts it into the queue when the transaction is committed.
    fn enqueue(&self, tx: &mut PlatformTx) -> JobId {
        let row = platform_row(self, tx.ctx(), tx.ambient().id(), None);
        let id = row.id;
        tx.push_job(None, row);
        id
    }

    /// The same, not to run before `at`.
    fn enqueue_at(&self, tx: &mut PlatformTx, at: Timestamp) -> JobId {
        let row = platform_row(self, tx.ctx(), tx.ambient().id(), Some(at));
        let id = row.id;
        tx.push_job(None, row);
        id
    }
}

fn tenant_row<J: Job>(job: &J, ctx: &Ctx, id: JobId, run_at: Option<Timestamp>) -> JobRow {
    let lane = job.lane();
    let envelope = envelope::of_tenant(ctx);
    row(id, J::NAME, lane, job, envelope, run_at)
}

pub(crate) fn platform_row<J: PlatformJob>(
    job: &J,
    ctx: &PlatformCtx,
    id: JobId,
    run_at: Option<Timestamp>,
) -> JobRow {
    row(id, J::NAME, job.lane(), job, envelope::of_platform(ctx), run_at)
}

fn row<J: Serialize>(
    id: JobId,
    name: &'static str,
    lane: Option<String>,
    job: &J,
    envelope: serde_json::Value,
    run_at: Option<Timestamp>,
) -> JobRow {
    let payload = serde_json::to_value(job).expect("a job is a struct of ids, which serialises");
    debug_assert!(
        payload.to_string().len() <= PAYLOAD_LIMIT_BYTES,
        "the payload of {name} is larger than {PAYLOAD_LIMIT_BYTES} bytes: name ids, not content"
    );
    debug_assert!(
        lane.as_ref().is_none_or(|lane| (1..=LANE_LIMIT_BYTES).contains(&lane.len())),
        "the lane of {name} is empty or longer than {LANE_LIMIT_BYTES} bytes"
    );
    JobRow { id, name, lane, payload, envelope, run_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2 + 1;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry =
            Retry { attempts: 9, first: Duration::from_secs(1), longest: Duration::from_secs(10) };
        let pauses: Vec<u128> =
            (1..=6).map(|attempts| retry.pause(attempts, MIDDLE).as_millis() / 10).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let retry = Retry::DEFAULT;
        assert_eq!(retry.pause(1, 0), Duration::from_millis(1600));
        assert_eq!(retry.pause(1, u32::MAX), Duration::from_millis(2400));
    }

    #[test]
    fn a_pause_never_overflows() {
        let retry = Retry { attempts: 99, first: Duration::MAX, longest: Duration::from_secs(9) };
        assert!(retry.pause(u32::MAX, u32::MAX) <= Duration::from_secs(11));
    }
}
