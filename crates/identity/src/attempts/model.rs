//! Room `identity`: token buckets in the form of one timestamp each
//! ([GCRA](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many tries are allowed at once and how fast further ones come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// Tries allowed at once.
    pub burst: u32,
    /// Milliseconds until one more is allowed.
    pub refill_ms: u32,
}

impl Allowance {
    /// Takes one try from a bucket. `full_at_ms` is when the bucket is full again; gives its new
    /// value, or how many milliseconds to wait.
    pub(super) fn take(self, full_at_ms: u64, now_ms: u64) -> Result<u64, u64> {
        let refill = u64::from(self.refill_ms);
        let capacity = refill * u64::from(self.burst);
        let after = full_at_ms.max(now_ms) + refill;
        let excess = (after - now_ms).saturating_sub(capacity);
        if excess == 0 { Ok(after) } else { Err(excess) }
    }

    /// Puts one try back.
    pub(super) fn put_back(self, full_at_ms: u64) -> u64 {
        full_at_ms.saturating_sub(u64::from(self.refill_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: Allowance = Allowance { burst: 3, refill_ms: 1_000 };

    fn drained(now_ms: u64) -> u64 {
        (0..3).fold(0, |bucket, _| LIMIT.take(bucket, now_ms).expect("within the burst"))
    }

    #[test]
    fn after_the_burst_the_wait_is_named() {
        assert_eq!(LIMIT.take(drained(10_000), 10_000), Err(1_000));
        assert_eq!(LIMIT.take(drained(10_000), 10_400), Err(600));
        assert!(LIMIT.take(drained(10_000), 11_000).is_ok());
    }

    #[test]
    fn what_was_put_back_can_be_taken_again() {
        let bucket = LIMIT.put_back(drained(10_000));
        assert!(LIMIT.take(bucket, 10_000).is_ok());
    }

    proptest! {
        #[test]
        fn no_schedule_gets_more_than_burst_and_refill(
            gaps in prop::collection::vec(0u64..2_500, 1..80),
        ) {
            let (mut bucket, mut now, mut taken) = (0, 1_000_000u64, 0u64);
            let start = now;
            for gap in gaps {
                now += gap;
                if let Ok(next) = LIMIT.take(bucket, now) {
                    bucket = next;
                    taken += 1;
                }
            }
            prop_assert!(taken <= 3 + (now - start) / 1_000);
        }
    }
}
