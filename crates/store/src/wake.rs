//! Room `store`: tells workers that jobs were committed.
//!
//! `NOTIFY` inside a transaction takes a lock that serialises every commit of the database, so a
//! commit only marks that there is news. Workers of this process hear it at once; one task tells
//! those of other processes, at most once every few milliseconds. If the process dies in between,
//! their poll finds the jobs.

use std::sync::Arc;

use tokio::sync::Notify;

/// Processes tell each other of new jobs on one channel, without a payload.
pub(crate) const LISTEN: &str = "listen misy_jobs";
pub(crate) const NOTIFY: &str = "notify misy_jobs";

/// Hears of commits that enqueued something. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    local: Arc<Notify>,
    remote: Arc<Notify>,
}

impl Wake {
    /// Another bell of this process; other processes are told together.
    pub(crate) fn beside(&self) -> Self {
        Self { local: Arc::default(), remote: Arc::clone(&self.remote) }
    }

    /// Something was enqueued by this process.
    pub fn signal(&self) {
        self.local.notify_one();
        self.remote.notify_one();
    }

    /// Something was enqueued by another process.
    pub fn signal_from_afar(&self) {
        self.local.notify_one();
    }

    /// Waits for news from anywhere; for the dispatcher of this process.
    pub async fn heard(&self) {
        self.local.notified().await;
    }

    /// Waits for news that other processes have not been told yet; for the one that tells them.
    pub async fn to_tell(&self) {
        self.remote.notified().await;
    }
}
