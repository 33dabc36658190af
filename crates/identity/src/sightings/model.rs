//! Room `identity`: sightings that have not been written down yet.

use std::collections::HashMap;

use misy_core::Timestamp;
use uuid::Uuid;

/// Sightings that wait; what is beyond it is not noted. A lost sighting costs an inexact time.
const WAITING_MAX: usize = 100_000;

/// What was seen since it was last written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) access_ids: Vec<Uuid>,
    pub(crate) keys: HashMap<Uuid, Timestamp>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.access_ids.is_empty() && self.keys.is_empty()
    }

    pub(crate) fn saw_token(&mut self, access_id: Uuid) {
        if self.access_ids.len() < WAITING_MAX {
            self.access_ids.push(access_id);
        }
    }

    pub(crate) fn saw_key(&mut self, key: Uuid, at: Timestamp) {
        if self.keys.len() < WAITING_MAX || self.keys.contains_key(&key) {
            self.keys.insert(key, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_seen_twice_waits_once_with_the_later_time() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.saw_key(Uuid::from_u128(1), Timestamp::UNIX_EPOCH);
        let later = Timestamp::from_second(60).expect("in range");
        batch.saw_key(Uuid::from_u128(1), later);
        assert_eq!(batch.keys, HashMap::from([(Uuid::from_u128(1), later)]));
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut batch = Batch::default();
        for n in 0..(WAITING_MAX as u128 + 10) {
            batch.saw_token(Uuid::from_u128(n));
        }
        assert_eq!(batch.access_ids.len(), WAITING_MAX);
    }
}
