//! Room `sandbox`: the one place that starts background tasks and ends them together.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Background tasks that end when they are told to stop.
#[derive(Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a task until it ends, or is dropped at the stop.
    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// Runs a task that watches [`Tasks::stopping`] itself, to end politely.
    pub(crate) fn start_polite(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Resolves when the end has come.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Tells all tasks to end, without waiting.
    pub(crate) fn cancel(&self) {
        self.stop.cancel();
    }

    /// Tells all tasks to end and waits for them, at most `patience`.
    pub(crate) async fn finish(&self, patience: Duration) {
        self.stop.cancel();
        self.tracker.close();
        let _ = tokio::time::timeout(patience, self.tracker.wait()).await;
    }
}
