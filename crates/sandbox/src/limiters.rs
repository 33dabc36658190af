//! Room `sandbox`: token buckets on a clock that a test can hold still.

use misy_core::Timestamp;

/// Tokens that come back at a steady rate up to a capacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    tokens: f64,
    filled_at: Timestamp,
}

impl Bucket {
    /// A bucket full of `capacity` tokens.
    pub(crate) fn full(capacity: u32, now: Timestamp) -> Self {
        Self { tokens: f64::from(capacity), filled_at: now }
    }

    /// Takes one token if there is one; `per_second` come back each second, up to `capacity`.
    pub(crate) fn take(&mut self, capacity: u32, per_second: f64, now: Timestamp) -> bool {
        let elapsed_s = now.duration_since(self.filled_at).as_secs_f64().max(0.0);
        self.tokens = elapsed_s.mul_add(per_second, self.tokens).min(f64::from(capacity));
        self.filled_at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

/// Calls counted in windows of one hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HourlyCount {
    began_at: Timestamp,
    calls: u32,
}

impl HourlyCount {
    /// Nothing counted yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { began_at: now, calls: 0 }
    }

    /// Counts a call and says how many there were in this hour, it included.
    pub(crate) fn count(&mut self, now: Timestamp) -> u32 {
        if now.duration_since(self.began_at).as_secs() >= 3_600 {
            *self = Self::new(now);
        }
        self.calls += 1;
        self.calls
    }

    /// Calls of this hour.
    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 0).expect("in range")
    }

    #[test]
    fn a_burst_empties_the_bucket_and_six_seconds_give_one_back() {
        let mut bucket = Bucket::full(45, at(0));
        let taken = (0..60).filter(|_| bucket.take(45, 1.0 / 6.0, at(0))).count();
        assert_eq!(taken, 45);
        assert!(!bucket.take(45, 1.0 / 6.0, at(5)));
        assert!(bucket.take(45, 1.0 / 6.0, at(7)));
        assert!(!bucket.take(45, 1.0 / 6.0, at(7)));
    }

    #[test]
    fn a_clock_that_runs_back_gives_no_tokens() {
        let mut bucket = Bucket::full(1, at(100));
        assert!(bucket.take(1, 1.0, at(100)));
        assert!(!bucket.take(1, 1.0, at(50)));
    }

    #[test]
    fn an_hour_later_the_count_begins_anew() {
        let mut count = HourlyCount::new(at(0));
        assert_eq!((count.count(at(1)), count.count(at(3_599)), count.calls()), (1, 2, 2));
        assert_eq!(count.count(at(3_600)), 1);
    }
}
