//! Room `jobs`: what a saga is made of.

use std::time::Duration;

use async_trait::async_trait;
use misy_core::error::Fault;
use misy_core::{Ctx, Public, Secret};
use misy_store::TenantTx;
use uuid::Uuid;

use crate::Retry;

/// Characters of an error that are kept.
const ERROR_CHARS: usize = 300;

/// A step that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Trying again later may help.
    #[error("the step failed for now")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Trying again cannot help.
    #[error("the step is impossible")]
    Impossible {
        /// What is wrong with the seed, pointing into it: `/owner/password`.
        faults: Vec<Fault>,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StepError {
    /// To be tried again.
    pub fn retry(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Retry(source.into())
    }

    /// The outermost text only: what lies below may come from elsewhere and hold anything.
    pub(super) fn told(&self) -> String {
        let (Self::Retry(source) | Self::Impossible { source, .. }) = self;
        source.to_string().chars().take(ERROR_CHARS).collect()
    }
}

impl<E: Public> From<E> for StepError {
    /// What the server is to blame for may pass; what the request is to blame for stays.
    fn from(error: E) -> Self {
        if error.code().status() >= 500 {
            Self::Retry(Box::new(error))
        } else {
            Self::Impossible { faults: error.faults(), source: Box::new(error) }
        }
    }
}

/// How a step fails that did not end.
#[derive(Debug, thiserror::Error)]
#[error("nobody knows the outcome: it took longer than {} ms", .0.as_millis())]
struct TooLong(Duration);

/// One named part of a saga. `S` is what the whole starts from.
#[async_trait]
pub trait Step<S: Sync>: Send + Sync {
    /// Its name in the log, for example `identity.people`.
    fn name(&self) -> &'static str;

    /// Whether [`Step::act`] does it, in another store, instead of [`Step::write`].
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// How long one try may take; less than [`super::LEASE`].
    fn limit(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// How often it is tried, forward and back, before it is given up.
    fn retry(&self) -> Retry {
        Retry { longest: Duration::from_mins(5), ..Retry::DEFAULT }
    }

    /// What takes long and needs no connection, such as hashing a password. [`Step::write`] gets
    /// what comes of it.
    async fn prepare(&self, _seed: &S) -> Result<Option<Secret>, StepError> {
        Ok(None)
    }

    /// Writes rows of the tenant, or finds that they are there. Kept only if the saga is still
    /// held by who does this.
    async fn write(
        &self,
        _tx: &mut TenantTx,
        _seed: &S,
        _prepared: Option<Secret>,
    ) -> Result<(), StepError> {
        Ok(())
    }

    /// Does it in another store, or finds that it is done. `key` is the same at every try.
    async fn act(&self, _ctx: &Ctx, _key: Uuid, _seed: &S) -> Result<(), StepError> {
        Ok(())
    }

    /// Removes whatever is there of it, which may be nothing, or more than it once made.
    async fn undo(&self, _ctx: &Ctx, _key: Uuid) -> Result<(), StepError> {
        Ok(())
    }
}

/// Runs one try within its limit.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let ended = tokio::time::timeout(limit, work).await;
    ended.unwrap_or_else(|_| Err(StepError::retry(TooLong(limit))))
}
