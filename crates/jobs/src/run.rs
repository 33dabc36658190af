//! Room `jobs`: one attempt at one job, with its log line and its figures.

use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use misy_core::{Actor, Ambient, Misplaced, Public, Timestamp};
use misy_store::meter::Meter;
use misy_trace::spans;
use tracing::{Instrument, Span};

use crate::dead_letters::Reason;
use crate::envelope::Envelope;
use crate::outcome::{Claimed, Outcome, Settled, later};
use crate::registry::{Handler, Packed, Registry, Unreadable, Work};
use crate::{JobError, Retry};

/// How long a job waits that no job of this program has the name of: a newer one may be on its way.
const UNKNOWN: Duration = Duration::from_mins(1);

/// How long a job waits whose tenant is not active, until the next look.
const STOPPED: Duration = Duration::from_secs(20);

/// How long a job waits when it is not known whether its tenant is active.
const UNSURE: Duration = Duration::from_secs(1);

/// Characters of an error that are kept.
const ERROR_CHARS: usize = 300;

/// An attempt that ended in no way of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mishap {
    #[error("it panicked")]
    Panic,
    #[error("it ran longer than {} s", .0.as_secs())]
    TooLong(Duration),
    #[error("the workers that held it went away")]
    Abandoned,
}

impl Mishap {
    /// The way in which an attempt ended whose error was written down so.
    pub(crate) fn reason(error: &str) -> Reason {
        if error == Self::Panic.to_string() {
            Reason::Panicked
        } else if error == Self::Abandoned.to_string() {
            Reason::Abandoned
        } else if error.starts_with("it ran longer than ") {
            Reason::TimedOut
        } else {
            Reason::Failed
        }
    }
}

/// Runs the job once. Never panics, never fails: whatever happens is an outcome.
pub(crate) async fn attempt(job: Claimed, registry: &Registry, ambient: &Ambient) -> Settled {
    let Some(handler) = registry.handler(&job.name).cloned() else {
        tracing::warn!(name = job.name, "no such job in this program; it waits for another");
        let until = later(ambient.now(), UNKNOWN);
        return Settled { hold: job.hold, outcome: Outcome::Park { until } };
    };
    let begun = Instant::now();
    let meter = Arc::new(Meter::default());
    let mut envelope: Option<Envelope> = serde_json::from_str(&job.envelope).ok();
    let line = Line::new(&job, handler.name, envelope.as_ref(), ambient.now());
    let span = line.span();
    if let Some(envelope) = &mut envelope {
        envelope.follow(&span, ambient);
    }
    let work = async {
        match wait(&job, registry, ambient).await {
            Some(until) => Err(JobError::Park { until }),
            None => result(&job, &handler, envelope, ambient).await,
        }
    };
    let result = Arc::clone(&meter).measure(work).instrument(span.clone()).await;
    let outcome = outcome(&result, &handler.retry, job.attempts, ambient);
    tell(&span, handler.name, &outcome);
    span.in_scope(|| line.write(&outcome, result.err(), begun.elapsed(), &meter));
    Settled { hold: job.hold, outcome }
}

/// What a trace shows of an attempt: which job, and how it ended.
fn tell(span: &Span, name: &'static str, outcome: &Outcome) {
    spans::note(span, "messaging.destination.name", name);
    spans::note(span, "misy.outcome", outcome.label());
    spans::rename(span, || format!("job {name}"));
    if matches!(outcome, Outcome::Retry { .. } | Outcome::Bury { .. }) {
        spans::fail(span);
    }
}

/// Until when the job of a tenant that is not active has to wait. It counts no attempt: a tenant
/// that is let in again finds its work where it was.
async fn wait(job: &Claimed, registry: &Registry, ambient: &Ambient) -> Option<Timestamp> {
    let (tenant, tenants) = (job.tenant?, registry.tenants()?);
    match tenants.is_active(tenant).await {
        Ok(true) => None,
        Ok(false) => {
            let code = Misplaced::NotActive.code().slug();
            tracing::info!(code, "the job waits until its tenant is active");
            Some(later(ambient.now(), STOPPED))
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn StdError, "is the tenant active? the job waits");
            Some(later(ambient.now(), UNSURE))
        }
    }
}

async fn result(
    job: &Claimed,
    handler: &Handler,
    envelope: Option<Envelope>,
    ambient: &Ambient,
) -> Result<(), JobError> {
    if job.attempts > handler.retry.attempts {
        return Err(JobError::fail(Mishap::Abandoned));
    }
    let work = begin(job, handler, envelope, ambient).map_err(JobError::fail)?;
    let caught = AssertUnwindSafe(work).catch_unwind();
    match tokio::time::timeout(handler.limit, caught).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(JobError::retry(Mishap::Panic)),
        Err(_elapsed) => Err(JobError::retry(Mishap::TooLong(handler.limit))),
    }
}

fn begin(
    job: &Claimed,
    handler: &Handler,
    envelope: Option<Envelope>,
    ambient: &Ambient,
) -> Result<Work, Unreadable> {
    let envelope = envelope.ok_or(Unreadable::Form)?;
    let packed = Packed { tenant: job.tenant, payload: &job.payload, envelope };
    handler.begin(packed, ambient)
}

fn outcome(
    result: &Result<(), JobError>,
    retry: &Retry,
    attempts: u32,
    ambient: &Ambient,
) -> Outcome {
    let at = ambient.now();
    match result {
        Ok(()) => Outcome::Done,
        Err(JobError::Park { until }) => Outcome::Park { until: *until },
        Err(JobError::Retry { after, source }) if attempts < retry.attempts => {
            let jitter = u32::from_le_bytes(ambient.bytes());
            let pause = retry.pause(attempts, jitter).max(after.unwrap_or_default());
            Outcome::Retry { at: later(at, pause), error: shorten(&**source) }
        }
        Err(JobError::Retry { source, .. } | JobError::Fail(source)) => {
            Outcome::Bury { at, error: shorten(&**source) }
        }
    }
}

/// The outermost text only: what lies below may come from elsewhere and hold anything.
fn shorten(error: &(dyn StdError + Send + Sync)) -> String {
    error.to_string().chars().take(ERROR_CHARS).collect()
}

/// The canonical log line of one attempt.
struct Line {
    name: &'static str,
    tenant: Option<String>,
    actor: Option<Actor>,
    request_id: String,
    trace_id: String,
    attempt: u32,
    delay: Duration,
}

impl Line {
    fn new(job: &Claimed, name: &'static str, envelope: Option<&Envelope>, now: Timestamp) -> Self {
        Self {
            name,
            tenant: job.tenant.map(|tenant| tenant.to_string()),
            actor: envelope.map(Envelope::actor),
            request_id: envelope.map(|one| one.request().to_string()).unwrap_or_default(),
            trace_id: envelope.map(Envelope::trace_id).unwrap_or_default(),
            attempt: job.attempts,
            delay: Duration::try_from(now.duration_since(job.due)).unwrap_or_default(),
        }
    }

    /// Names tenant and request on every line that is written meanwhile, whatever the filter's
    /// level.
    fn span(&self) -> tracing::Span {
        let Self { name, tenant, request_id, trace_id, .. } = self;
        tracing::error_span!("job", name, tenant, request_id, trace_id)
    }

    /// Whether nobody asked for it and it went well at once: such work comes every few seconds, and
    /// its lines would bury the others.
    fn is_housekeeping(&self) -> bool {
        self.tenant.is_none() && self.actor == Some(Actor::System) && self.attempt == 1
    }

    fn write(self, outcome: &Outcome, error: Option<JobError>, elapsed: Duration, meter: &Meter) {
        let status = outcome.label();
        metrics::counter!("misy_jobs_total", "name" => self.name, "status" => status).increment(1);
        metrics::histogram!("misy_jobs_elapsed_seconds", "name" => self.name).record(elapsed);
        metrics::histogram!("misy_jobs_delay_seconds", "name" => self.name).record(self.delay);
        if self.is_housekeeping() && matches!(outcome, Outcome::Done) {
            tracing::debug!(name = self.name, elapsed_ms = whole_ms(elapsed), "housekeeping");
            return;
        }
        tracing::info!(
            name = self.name,
            tenant = self.tenant,
            actor = self.actor.map(|actor| actor.to_string()),
            status,
            attempt = self.attempt,
            elapsed_ms = whole_ms(elapsed),
            delay_ms = whole_ms(self.delay),
            queries = meter.queries(),
            rows = meter.rows(),
            request_id = self.request_id,
            trace_id = self.trace_id,
            error = error.map(|error| chain(&error)),
            "job"
        );
    }
}

/// A number for the log: 128 bits would be written as text.
fn whole_ms(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// An error and everything below it, for the log.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mishap_is_known_again_by_what_was_written_of_it() {
        let reason = |mishap: Mishap| Mishap::reason(&shorten(&mishap));
        assert_eq!(reason(Mishap::Panic), Reason::Panicked);
        assert_eq!(reason(Mishap::TooLong(Duration::from_secs(9))), Reason::TimedOut);
        assert_eq!(reason(Mishap::Abandoned), Reason::Abandoned);
        assert_eq!(Mishap::reason("the provider says it panicked"), Reason::Failed);
    }

    #[test]
    fn what_is_kept_of_an_error_is_its_own_text_and_never_its_causes() {
        let cause = std::io::Error::other("the customer wrote: my number is 4711");
        let error = misy_store::Error::Unavailable(Box::new(cause));
        assert!(chain(&error).contains("4711"), "the log may say it");
        assert!(!shorten(&error).contains("4711"));
        let long = std::io::Error::other("x".repeat(5_000));
        assert_eq!(shorten(&long).len(), ERROR_CHARS);
    }
}
