//! Room `store`: what goes first when there is not enough of the machine for all.
//!
//! A provider waits for its acknowledgement and gives up soon, a person waits for a page; a job can
//! wait. So jobs of this process use a few connections of their own number, and hold back while
//! many deliveries are on their way to the disk, but never altogether.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// So many at once are a burst; fewer are served beside everything else.
const BURST: usize = 4;

/// For so long after the last moment of a burst it is not over: acknowledgements leave together,
/// and the next deliveries follow at once.
const LULL: Duration = Duration::from_millis(5);

/// How long a job's transaction waits for the end of a burst.
const COURTESY: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Inner {
    urgent: AtomicUsize,
    calm: Notify,
    /// From when moments are counted.
    beginning: Instant,
    /// The last moment of a burst, in microseconds; zero if there was none yet.
    last: AtomicU64,
    /// Connections that jobs may use at once. More would not make them faster, only keep others
    /// waiting behind all of them.
    aside: Arc<Semaphore>,
}

tokio::task_local! {
    /// Whether the job that runs here has a connection already.
    static SEATED: Arc<AtomicBool>;
}

/// Counts the work that somebody outside waits for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Precedence(Arc<Inner>);

impl Inner {
    fn now_us(&self) -> u64 {
        u64::try_from(self.beginning.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// How much is left of the time in which a burst may go on.
    fn lull(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed);
        let passed = Duration::from_micros(self.now_us().saturating_sub(last));
        if last == 0 { None } else { LULL.checked_sub(passed).filter(|rest| !rest.is_zero()) }
    }
}

impl Precedence {
    /// Jobs may use so many connections at once.
    pub(crate) fn new(aside: usize) -> Self {
        let aside = Arc::new(Semaphore::new(aside.max(1)));
        Self(Arc::new(Inner {
            urgent: AtomicUsize::new(0),
            calm: Notify::new(),
            beginning: Instant::now(),
            last: AtomicU64::new(0),
            aside,
        }))
    }

    /// Goes first until the guard is dropped.
    pub fn go_first(&self) -> Urgent {
        self.0.urgent.fetch_add(1, Ordering::Relaxed);
        Urgent(Arc::clone(&self.0))
    }

    /// Whether work that can wait should hold back now.
    pub fn is_pressed(&self) -> bool {
        self.is_full() || self.0.lull().is_some()
    }

    fn is_full(&self) -> bool {
        self.0.urgent.load(Ordering::Relaxed) >= BURST
    }

    /// Waits until a burst is over.
    pub async fn over(&self) {
        loop {
            let mut calm = std::pin::pin!(self.0.calm.notified());
            calm.as_mut().enable();
            if self.is_full() {
                calm.await;
            } else if let Some(rest) = self.0.lull() {
                tokio::time::sleep(rest).await;
            } else {
                return;
            }
        }
    }

    /// Runs what can wait: its transactions use the connections set aside for such work.
    pub async fn make_way<F: Future>(work: F) -> F::Output {
        SEATED.scope(Arc::default(), work).await
    }

    /// The right of a job to one more connection; `None` for everything else, and for a job that
    /// has one: it would wait for itself.
    pub(crate) async fn step_aside(&self) -> Option<Aside> {
        let seated = SEATED.try_with(Arc::clone).ok()?;
        if seated.load(Ordering::Relaxed) {
            return None;
        }
        if self.is_pressed() {
            // Never altogether: a burst may last.
            let _ = tokio::time::timeout(COURTESY, self.over()).await;
        }
        let permit = Arc::clone(&self.0.aside).acquire_owned().await.ok()?;
        seated.store(true, Ordering::Relaxed);
        Some(Aside { seated, _permit: permit })
    }
}

/// A connection's worth of the part that is set aside for jobs.
pub(crate) struct Aside {
    seated: Arc<AtomicBool>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.seated.store(false, Ordering::Relaxed);
    }
}

/// Work that goes first, for as long as this lives.
#[derive(Debug)]
#[must_use = "precedence ends when this is dropped"]
pub struct Urgent(Arc<Inner>);

impl Drop for Urgent {
    fn drop(&mut self) {
        if self.0.urgent.fetch_sub(1, Ordering::Relaxed) == BURST {
            self.0.last.store(self.0.now_us(), Ordering::Relaxed);
            self.0.calm.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_burst_holds_others_back_until_it_is_over() {
        let precedence = Precedence::new(1);
        let mut under_way: Vec<_> = (0..BURST).map(|_| precedence.go_first()).collect();
        assert!(precedence.is_pressed());
        assert_eq!(precedence.over().now_or_never(), None);
        drop(under_way.pop());
        let last = precedence.0.last.load(Ordering::Relaxed);
        assert!(last > 0, "the next deliveries may follow at once");
        precedence.over().await;
        assert!(!precedence.is_pressed());
    }

    #[tokio::test]
    async fn jobs_share_what_is_set_aside_and_requests_do_not() {
        let precedence = Precedence::new(1);
        assert!(precedence.step_aside().await.is_none(), "a request needs nothing of it");
        let job = Precedence::make_way(async {
            let first = precedence.step_aside().await;
            assert!(first.is_some());
            assert!(precedence.step_aside().await.is_none(), "it would wait for itself");
            let other = Precedence::make_way(precedence.step_aside());
            assert!(other.now_or_never().is_none(), "another job waits");
            drop(first);
            assert!(Precedence::make_way(precedence.step_aside()).await.is_some());
        });
        job.await;
    }

    #[tokio::test]
    async fn a_burst_that_does_not_end_stops_no_job_for_ever() {
        let precedence = Precedence::new(1);
        let _burst: Vec<_> = (0..BURST).map(|_| precedence.go_first()).collect();
        assert!(Precedence::make_way(precedence.step_aside()).await.is_some());
    }
}
