//! Room `identity`: the buckets of all addresses and accounts, in memory that never grows.

use std::sync::atomic::{AtomicU64, Ordering};

use misy_core::crypto::{self, Key};
use misy_core::{Ambient, Code, Public};

use super::Allowance;

/// A power of two; 256 KiB a table. Strangers who share a bucket are the price of a fixed size;
/// each key has two and is refused only when both are empty, so one flooded bucket locks nobody
/// out.
const BUCKETS: usize = 1 << 15;

/// Too many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries, the next in {retry_after_ms} ms")]
pub struct Error {
    /// When the next is allowed.
    pub retry_after_ms: u64,
}

impl Public for Error {
    fn code(&self) -> Code {
        Code::RateLimited
    }
    fn retry_after_s(&self) -> Option<u32> {
        Some(u32::try_from(self.retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX))
    }
}

/// Counts tries by a name: an address, an account.
pub struct Attempts {
    allowance: Allowance,
    /// Chosen anew by each process, so that nobody can aim at another's buckets.
    key: Key,
    full_at_ms: Vec<AtomicU64>,
    ambient: Ambient,
}

impl Attempts {
    /// Starts with every bucket full.
    pub fn new(allowance: Allowance, ambient: Ambient) -> Self {
        let full_at_ms = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { allowance, key: Key::new(ambient.bytes()), full_at_ms, ambient }
    }

    /// Takes one try of this name.
    pub fn take(&self, name: &str) -> Result<(), Error> {
        let now_ms = u64::try_from(self.ambient.now().as_millisecond()).unwrap_or(0);
        let take = |bucket: &AtomicU64| {
            bucket
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at_ms| {
                    self.allowance.take(full_at_ms, now_ms).ok()
                })
                .err()
                .map(|full_at_ms| self.allowance.take(full_at_ms, now_ms).err().unwrap_or(0))
        };
        // Both are charged, also when one refuses.
        match self.buckets(name).map(take) {
            [Some(first), Some(second)] => Err(Error { retry_after_ms: first.min(second) }),
            _ => Ok(()),
        }
    }

    /// Gives a try back that proved honest.
    pub fn put_back(&self, name: &str) {
        for bucket in self.buckets(name) {
            let put_back = |full_at_ms| Some(self.allowance.put_back(full_at_ms));
            let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put_back);
        }
    }

    fn buckets(&self, name: &str) -> [&AtomicU64; 2] {
        let digest = crypto::hmac_sha256(self.key.expose(), name.as_bytes());
        [0, 2].map(|at| {
            let index = usize::from(u16::from_be_bytes([digest[at], digest[at + 1]]));
            &self.full_at_ms[index % BUCKETS]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_limited_and_another_is_not() {
        let limit = Allowance { burst: 5, refill_ms: 60_000 };
        let attempts = Attempts::new(limit, misy_testkit::ambient());
        for _ in 0..5 {
            assert_eq!(attempts.take("192.0.2.1"), Ok(()));
        }
        let refused = attempts.take("192.0.2.1").expect_err("the burst is used up");
        assert_eq!(refused.retry_after_s(), Some(60));
        assert_eq!(attempts.take("192.0.2.2"), Ok(()));
        attempts.put_back("192.0.2.1");
        assert_eq!(attempts.take("192.0.2.1"), Ok(()));
    }
}
