//! Room `store`: counts the statements and rows of one request or job, for its canonical log line.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one request or job has asked of the database so far.
#[derive(Debug, Default)]
pub struct Meter {
    queries: AtomicU64,
    rows: AtomicU64,
}

tokio::task_local! {
    static METER: Arc<Meter>;
}

impl Meter {
    /// Runs a future whose statements are counted here.
    pub async fn measure<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        METER.scope(self, work).await
    }

    /// Statements so far.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Rows read or written so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }
}

pub(crate) fn count(rows: u64) {
    let _ = METER.try_with(|meter| {
        meter.queries.fetch_add(1, Ordering::Relaxed);
        meter.rows.fetch_add(rows, Ordering::Relaxed);
    });
}
