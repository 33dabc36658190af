//! Room `testkit`: a clock that is turned by hand and randomness that repeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use misy_core::{Ambient, Clock, Entropy, Timestamp};

/// A clock that stands still until it is turned. Clones show the same time.
#[derive(Clone, Debug)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    /// Stands at the given time.
    pub fn at(time: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time.as_millisecond())))
    }

    /// Turns it forward.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Default for HandClock {
    /// Stands at noon of the first of March 2026, UTC.
    fn default() -> Self {
        Self::at("2026-03-01T12:00:00Z".parse().expect("a valid time"))
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        let ms = self.0.load(Ordering::SeqCst);
        Timestamp::from_millisecond(ms).expect("tests stay within the calendar")
    }
}

/// The machine's clock, for tests in which a real database compares times with its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A repeatable stream of bytes (`SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug)]
pub struct Seeded(AtomicU64);

impl Seeded {
    /// Starts the stream that belongs to a seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A frozen clock and seed 1: every run gives the same ids.
pub fn ambient() -> Ambient {
    Ambient::new(Arc::new(HandClock::default()), Arc::new(Seeded::new(1)))
}

/// The same with a clock that the test turns.
pub fn ambient_with(clock: &HandClock, seed: u64) -> Ambient {
    Ambient::new(Arc::new(clock.clone()), Arc::new(Seeded::new(seed)))
}

/// The machine's clock with repeatable randomness.
pub fn wall_ambient(seed: u64) -> Ambient {
    Ambient::new(Arc::new(WallClock), Arc::new(Seeded::new(seed)))
}
