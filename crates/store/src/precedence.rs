//! Room `store`: what goes first when there is not enough of the machine for all.
//!
//! A provider waits for its acknowledgement and gives up soon; a job can wait. So workers of this
//! process hold back while many deliveries are on their way to the disk, and never altogether.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// So many at once are a burst; fewer are served beside everything else.
const BURST: usize = 4;

#[derive(Debug, Default)]
struct Inner {
    urgent: AtomicUsize,
    calm: Notify,
}

/// Counts the work that somebody outside waits for. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Precedence(Arc<Inner>);

impl Precedence {
    /// Goes first until the guard is dropped.
    pub fn go_first(&self) -> Urgent {
        self.0.urgent.fetch_add(1, Ordering::Relaxed);
        Urgent(Arc::clone(&self.0))
    }

    /// Whether background work should hold back now.
    pub fn is_pressed(&self) -> bool {
        self.0.urgent.load(Ordering::Relaxed) >= BURST
    }

    /// Waits until a burst is over; for the one dispatcher of this process.
    pub async fn over(&self) {
        while self.is_pressed() {
            self.0.calm.notified().await;
        }
    }
}

/// Work that goes first, for as long as this lives.
#[derive(Debug)]
#[must_use = "precedence ends when this is dropped"]
pub struct Urgent(Arc<Inner>);

impl Drop for Urgent {
    fn drop(&mut self) {
        if self.0.urgent.fetch_sub(1, Ordering::Relaxed) == BURST {
            self.0.calm.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_burst_holds_others_back_until_it_is_over() {
        let precedence = Precedence::default();
        let mut under_way: Vec<_> = (0..BURST).map(|_| precedence.go_first()).collect();
        assert!(precedence.is_pressed());
        assert_eq!(precedence.over().now_or_never(), None);
        drop(under_way.pop());
        assert!(!precedence.is_pressed());
        assert_eq!(precedence.over().now_or_never(), Some(()));
    }
}
