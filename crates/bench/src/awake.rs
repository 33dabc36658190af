//! Room `bench`: processors that do not go to sleep while something is measured.
//!
//! Where a question and its answer take turns on two processors, each rests in between. How deep it
//! sleeps and how long waking it takes depends on how long it has rested: three microseconds more
//! of work may cost fifty, or save them. What runs when nothing else wants to (`SCHED_IDLE`,
//! sched(7)) keeps them awake and nobody from working, as `idle=poll` does for a whole machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::{Failure, apart};

/// Until it is dropped no processor rests.
pub(crate) struct Awake {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    /// Begins with as many threads as there are processors; an error if they would be in the way.
    pub(crate) fn keep() -> Result<Self, Failure> {
        let mut awake = Self { over: Arc::default(), threads: Vec::new() };
        for _ in 0..std::thread::available_parallelism()?.get() {
            let (say, stepped_back) = std::sync::mpsc::channel();
            let over = Arc::clone(&awake.over);
            let work = move || {
                let outcome = apart::step_back();
                let stays = outcome.is_ok();
                // Whoever asked waits for it.
                let _ = say.send(outcome);
                while stays && !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            awake.threads.push(std::thread::Builder::new().name("awake".to_owned()).spawn(work)?);
            stepped_back.recv()??;
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It can only have ended.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_until_it_is_dropped() {
        let awake = Awake::keep().expect("threads");
        assert!(awake.threads.iter().all(|thread| !thread.is_finished()));
        let over = Arc::clone(&awake.over);
        drop(awake);
        assert_eq!(Arc::strong_count(&over), 1, "no thread is left");
    }
}
