//! Room `identity`: how far hashing steps back behind what else the machine does.
//!
//! A hash takes tens of milliseconds of a core. At the usual priority, and at a lower one too, who
//! wakes up on that core waits until the time slice is over, a few milliseconds; behind a thread
//! that only runs when nothing else wants to (`SCHED_IDLE`, sched(7)) nobody waits. But where there
//! is no time to spare such a thread would hardly get on, and nobody could sign in: once a hash
//! has taken that long, those of the next half minute get about a tenth of a core. So do those of
//! the first half minute, when other things are starting too and nothing is known yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// A hash that takes longer finds no time to spare.
const SLOW: Duration = Duration::from_millis(200);

/// For how long hashes then take their share.
const HURRY: Duration = Duration::from_secs(30);

/// That share, as `nice` counts: about a tenth of a core that others want too.
const NICENESS: i32 = 10;

/// Remembers how the last hashes got on.
#[derive(Debug)]
pub(super) struct Courtesy {
    /// From when time is counted.
    beginning: Instant,
    /// Until when hashes take their share, in milliseconds.
    hurried_until: AtomicU64,
}

impl Default for Courtesy {
    fn default() -> Self {
        let courtesy = Self { beginning: Instant::now(), hurried_until: AtomicU64::new(0) };
        courtesy.hurry_from(courtesy.beginning);
        courtesy
    }
}

impl Courtesy {
    /// Lets others go before this thread, which hashes next; gives the time at which it begins.
    pub(super) fn step_back(&self) -> Instant {
        let now = Instant::now();
        let stepped = if self.is_hurried(now) { take_a_share() } else { give_way() };
        if let Err(error) = stepped {
            tracing::debug!(error, "hashing at the usual priority");
        }
        now
    }

    /// Notes that a hash has ended that began then.
    pub(super) fn note(&self, begun: Instant) {
        self.note_at(begun, Instant::now());
    }

    fn note_at(&self, begun: Instant, ended: Instant) {
        if ended.saturating_duration_since(begun) > SLOW {
            self.hurry_from(ended);
        }
    }

    fn hurry_from(&self, now: Instant) {
        self.hurried_until.fetch_max(self.ms(now + HURRY), Ordering::Relaxed);
    }

    fn is_hurried(&self, now: Instant) -> bool {
        self.ms(now) < self.hurried_until.load(Ordering::Relaxed)
    }

    fn ms(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.beginning);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}

fn give_way() -> Result<(), String> {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        .map_err(|error| format!("{error:?}"))
}

fn take_a_share() -> Result<(), String> {
    rustix::process::setpriority_process(None, NICENESS).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_slow_hash_those_that_follow_take_their_share_for_a_while() {
        let courtesy = Courtesy::default();
        assert!(courtesy.is_hurried(courtesy.beginning), "nothing is known yet");
        let begun = courtesy.beginning + HURRY;
        courtesy.note_at(begun, begun + Duration::from_millis(20));
        assert!(!courtesy.is_hurried(begun + Duration::from_millis(20)));
        let ended = begun + Duration::from_secs(1);
        courtesy.note_at(begun, ended);
        assert!(courtesy.is_hurried(ended));
        assert!(courtesy.is_hurried(ended + HURRY.mul_f64(0.99)));
        assert!(!courtesy.is_hurried(ended + HURRY));
    }

    #[test]
    fn a_thread_steps_back_as_far_as_is_due() {
        let policy = |courtesy: &Courtesy| {
            std::thread::scope(|scope| {
                let stepped = scope.spawn(|| {
                    courtesy.step_back();
                    let text = std::fs::read_to_string("/proc/thread-self/stat").expect("proc(5)");
                    let rest = text.rsplit_once(')').expect("a name").1.to_owned();
                    let field = |at: usize| rest.split_whitespace().nth(at - 3).map(str::to_owned);
                    (field(19), field(41))
                });
                stepped.join().expect("no panic")
            })
        };
        let courtesy = Courtesy::default();
        courtesy.hurried_until.store(0, Ordering::Relaxed);
        assert_eq!(policy(&courtesy).1.as_deref(), Some("5"), "SCHED_IDLE");
        courtesy.hurried_until.store(u64::MAX, Ordering::Relaxed);
        let (niceness, share) = policy(&courtesy);
        assert_eq!(niceness.as_deref(), Some("10"));
        assert_eq!(share.as_deref(), Some("0"), "SCHED_OTHER");
    }
}
