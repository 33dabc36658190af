//! Room `core`: time and randomness as values, so that a test can freeze the one and seed the
//! other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::Timestamp;
use crate::id::TypedId;

/// Tells the time. The server reads the machine's clock, tests turn theirs by hand.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// Gives unpredictable bytes. The server asks the operating system, tests a seeded generator.
pub trait Entropy: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Clock, entropy and the id counter; cheap to clone, one a process.
#[derive(Clone)]
pub struct Ambient {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    last_tick: Arc<AtomicU64>,
}

/// UUIDv7 has 12 bits beside the millisecond; they count ids within it.
const TICKS_PER_MS: u64 = 1 << 12;

impl Ambient {
    /// Ties a clock to a source of randomness.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, last_tick: Arc::new(AtomicU64::new(0)) }
    }

    /// The present moment, to the microsecond: what the database keeps of it is what was said.
    pub fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// `N` unpredictable bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut buffer = [0; N];
        self.entropy.fill(&mut buffer);
        buffer
    }

    /// A new id. Ids of one process strictly increase, also within a millisecond, so their order is
    /// the order of events (RFC 9562 section 6.2, method 1).
    pub fn id<T: TypedId>(&self) -> T {
        T::from_uuid(self.uuid())
    }

    /// A new UUIDv7, strictly greater than every earlier one of this process.
    pub fn uuid(&self) -> Uuid {
        let tick = self.next_tick();
        let (ms, counter) = (tick / TICKS_PER_MS, tick % TICKS_PER_MS);
        let random = u64::from_be_bytes(self.bytes::<8>()) >> 2;
        let high = (u128::from(ms) << 80) | (0x7 << 76) | (u128::from(counter) << 64);
        Uuid::from_u128(high | (0b10 << 62) | u128::from(random))
    }

    fn next_tick(&self) -> u64 {
        let ms = u64::try_from(self.now().as_millisecond()).unwrap_or(0);
        let floor = ms * TICKS_PER_MS;
        let advance = |last: u64| floor.max(last + 1);
        let last = self
            .last_tick
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(advance(last)));
        advance(last.unwrap_or_else(|last| last))
    }
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ambient")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;

    struct Frozen;
    impl Clock for Frozen {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }
    impl Entropy for Frozen {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xab);
        }
    }

    #[test]
    fn ids_increase_while_the_clock_stands_still() {
        let ambient = Ambient::new(Arc::new(Frozen), Arc::new(Frozen));
        let ids: Vec<MessageId> = (0..10_000).map(|_| ambient.id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn an_id_is_a_version_7_uuid() {
        let uuid = Ambient::new(Arc::new(Frozen), Arc::new(Frozen)).uuid();
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }
}
