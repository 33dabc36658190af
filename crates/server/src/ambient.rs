//! Room `server`: the machine's clock and the operating system's randomness, made here and handed
//! down.

use std::cell::RefCell;
use std::sync::Arc;

use misy_core::{Ambient, Clock, Entropy, Timestamp};

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

struct MachineEntropy;

/// What is longer than this, in bytes, is asked for by itself: so is every key and every token.
const SHORT: usize = 16;

/// Randomness of the operating system that a thread has fetched ahead, above all for ids: to
/// ask for each takes longer than all else about it. Nothing of it is given twice.
struct Ahead {
    bytes: [u8; 512],
    used: usize,
}

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; 512], used: 512 }) };
}

impl Ahead {
    fn take(&mut self, buffer: &mut [u8]) {
        if self.bytes.len() - self.used < buffer.len() {
            ask(&mut self.bytes);
            self.used = 0;
        }
        let taken = &mut self.bytes[self.used..self.used + buffer.len()];
        buffer.copy_from_slice(taken);
        taken.fill(0);
        self.used += buffer.len();
    }
}

fn ask(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system gives randomness once it has started");
}

impl Entropy for MachineEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > SHORT {
            return ask(buffer);
        }
        AHEAD.with_borrow_mut(|ahead| ahead.take(buffer));
    }
}

/// The real thing.
pub fn machine() -> Ambient {
    Ambient::new(Arc::new(MachineClock), Arc::new(MachineEntropy))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_was_fetched_ahead_is_given_once() {
        let given: HashSet<[u8; 12]> = (0..10_000)
            .map(|_| {
                let mut buffer = [0; 12];
                MachineEntropy.fill(&mut buffer);
                buffer
            })
            .collect();
        assert_eq!(given.len(), 10_000);
        assert!(!given.contains(&[0; 12]));
        AHEAD.with_borrow(|ahead| assert!(ahead.bytes[..ahead.used].iter().all(|byte| *byte == 0)));
    }
}
