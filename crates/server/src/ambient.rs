//! Room `server`: the machine's clock and the operating system's randomness, made here and handed
//! down.

use std::sync::Arc;

use misy_core::{Ambient, Clock, Entropy, Timestamp};

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

struct MachineEntropy;

impl Entropy for MachineEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives randomness once it has started");
    }
}

/// The real thing.
pub fn machine() -> Ambient {
    Ambient::new(Arc::new(MachineClock), Arc::new(MachineEntropy))
}
