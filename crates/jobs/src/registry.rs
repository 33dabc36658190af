//! Room `jobs`: which jobs this process can run, and with what.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use misy_core::{Ambient, Misplaced, Public, TenantId};

use crate::envelope::Envelope;
use crate::schedules::Schedule;
use crate::{Job, JobError, PlatformJob, Retry};

pub(crate) type Work = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;

/// Why a job could not even begin. Neither shows the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its payload or envelope was written by a program too different from this one.
    #[error("the payload or envelope does not have the expected form")]
    Form,
    /// A tenant's job without a tenant, a job with two, a job of the platform with one. Named by
    /// its code, which is what a dead letter shows.
    #[error("{}", .0.code().slug())]
    Misplaced(#[source] Misplaced),
}

/// A job as it lies in the queue.
pub(crate) struct Packed<'a> {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) payload: &'a str,
    pub(crate) envelope: Envelope,
}

type Begin = dyn Fn(Packed<'_>, &Ambient) -> Result<Work, Unreadable> + Send + Sync;

/// How to run the jobs of one name.
pub(crate) struct Handler {
    pub(crate) name: &'static str,
    pub(crate) retry: Retry,
    pub(crate) limit: Duration,
    begin: Box<Begin>,
}

impl Handler {
    /// Reads the payload and makes the future; runs nothing yet.
    pub(crate) fn begin(&self, job: Packed<'_>, ambient: &Ambient) -> Result<Work, Unreadable> {
        (self.begin)(job, ambient)
    }
}

/// What a worker must know of tenants. Implemented by `tenancy`, which caches.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// Whether the tenant's work may be done now.
    async fn is_active(&self, tenant: TenantId) -> Result<bool, misy_store::Error>;
}

/// Which jobs this process can run. Each vertical adds its own; `server` starts a worker with all.
#[derive(Default)]
pub struct Registry {
    handlers: HashMap<&'static str, Arc<Handler>>,
    schedules: Vec<Schedule>,
    tenants: Option<Arc<dyn Tenants>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Registry {
    /// Knows no job yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets jobs of tenants that are not active wait until they are. Without this, all are.
    #[must_use]
    pub fn only_active(mut self, tenants: Arc<dyn Tenants>) -> Self {
        self.tenants = Some(tenants);
        self
    }

    pub(crate) fn tenants(&self) -> Option<&Arc<dyn Tenants>> {
        self.tenants.as_ref()
    }

    /// Adds a tenant's job. Panics if the name is taken: two jobs with one name is a mistake in the
    /// wiring that must not reach a running system.
    #[must_use]
    pub fn register<J: Job>(self, deps: Arc<J::Deps>) -> Self {
        self.add(J::NAME, J::RETRY, J::LIMIT, move |job, ambient| {
            let ctx = job.envelope.open(job.tenant, ambient).map_err(Unreadable::Misplaced)?;
            let work: J = read(job.payload)?;
            Ok(Box::pin(work.run(ctx, Arc::clone(&deps))))
        })
    }

    /// Adds a job of the platform. Panics if the name is taken.
    #[must_use]
    pub fn register_platform<J: PlatformJob>(self, deps: Arc<J::Deps>) -> Self {
        self.add(J::NAME, J::RETRY, J::LIMIT, move |job, ambient| {
            let ctx = job.envelope.open_platform(job.tenant, ambient);
            let ctx = ctx.map_err(Unreadable::Misplaced)?;
            let work: J = read(job.payload)?;
            Ok(Box::pin(work.run(ctx, Arc::clone(&deps))))
        })
    }

    /// Enqueues the job once in every period, however many processes run: a period is counted from
    /// 1970 in UTC, and one in which the last run still waits or works is left out. The job must be
    /// registered as well. Panics on a period under a second, or a name that is taken.
    #[must_use]
    pub fn every<J: PlatformJob>(mut self, name: &'static str, period: Duration, job: J) -> Self {
        assert!(period >= Duration::from_secs(1), "the period of schedule {name} is too short");
        let taken = self.schedules.iter().any(|schedule| schedule.name() == name);
        assert!(!taken, "two schedules are named {name}");
        self.schedules.push(Schedule::new(name, period, job));
        self
    }

    /// The names of all jobs, sorted.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.handlers.keys().copied().collect();
        names.sort_unstable();
        names
    }

    fn add<F>(mut self, name: &'static str, retry: Retry, limit: Duration, begin: F) -> Self
    where
        F: Fn(Packed<'_>, &Ambient) -> Result<Work, Unreadable> + Send + Sync + 'static,
    {
        let handler = Arc::new(Handler { name, retry, limit, begin: Box::new(begin) });
        let earlier = self.handlers.insert(name, handler);
        assert!(earlier.is_none(), "two jobs are named {name}");
        self
    }

    pub(crate) fn handler(&self, name: &str) -> Option<&Arc<Handler>> {
        self.handlers.get(name)
    }

    pub(crate) fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }
}

fn read<J: serde::de::DeserializeOwned>(payload: &str) -> Result<J, Unreadable> {
    serde_json::from_str(payload).map_err(|_| Unreadable::Form)
}
